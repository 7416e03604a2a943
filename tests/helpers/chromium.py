"""The machine's own Chromium, driven by Playwright; nothing is downloaded.

`python -m tests.helpers.chromium` ends with 0 where there is one, and says its path.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Browser, sync_playwright

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NONE: Final = (
    "there is no Chromium here: install it (Debian's package is chromium), or set CHROMIUM to the path of a "
    "Chromium or Chrome"
)


def executable() -> str | None:
    """Where it is: what the environment variable CHROMIUM says, or the first of the usual names on PATH."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless browser.

    Raises
    ------
    FileNotFoundError
        Where there is none.
    """
    path = executable()
    if path is None:
        raise FileNotFoundError(NONE)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--disable-gpu"])
        try:
            yield started
        finally:
            started.close()


if __name__ == "__main__":
    found = executable()
    print(found or NONE)
    sys.exit(0 if found else 1)
