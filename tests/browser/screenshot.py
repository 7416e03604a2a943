"""Takes the README's picture of the report page, which `make demo` writes.

`python -m tests.browser.screenshot build/report.html docs/report.png`: the upper half, light, at a laptop's width.
"""

import sys
from pathlib import Path
from typing import Final

from tests.helpers.chromium import browser

WIDTH: Final = 1240


def take(page: Path, picture: Path) -> None:
    """Writes the picture of a page, a PNG."""
    with browser() as started:
        opened = started.new_page(viewport={"width": WIDTH, "height": WIDTH}, color_scheme="light")
        opened.goto(page.resolve().as_uri())
        opened.wait_for_selector("html[data-ready]", state="attached")
        last = opened.locator("#subjects").bounding_box()
        assert last is not None
        height = last["y"] + last["height"] + 14
        opened.screenshot(path=picture, full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": height})


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m tests.browser.screenshot PAGE.html PICTURE.png")
    take(Path(sys.argv[1]), Path(sys.argv[2]))
