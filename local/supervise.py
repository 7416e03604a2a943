"""Runs one command for a parent process and ends it, whatever becomes of the parent.

    python supervise.py DIRECTORY COMMAND...

The command writes to DIRECTORY/log in a process group of its own. When standard input closes (the parent has ended,
even by SIGKILL) or SIGTERM comes, the whole group is ended and DIRECTORY removed; a byte on standard input instead
means: go on without the parent. A command that ends by itself ends this script, its log left for the parent.
Must stay a script of the standard library alone, without imports from this project.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType

GRACE_SECONDS = 5.0


def end_group(child: subprocess.Popen[bytes]) -> None:
    """End the child's whole process group: asked first, forced after the grace."""
    deadline = time.monotonic() + GRACE_SECONDS
    try:
        os.killpg(child.pid, signal.SIGTERM)
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    child.wait()


def main(directory: Path, command: list[str]) -> int:
    with (directory / "log").open("wb") as log:
        child = subprocess.Popen(
            command, cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    wake = threading.Event()
    log_is_wanted = True  # by a parent that is still there to read why the command ended

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal log_is_wanted
        log_is_wanted = False
        child.terminate()  # whose end is then seen; a handler must take no locks

    def watch_parent() -> None:
        nonlocal log_is_wanted
        kept = sys.stdin.buffer.read(1)
        log_is_wanted = False
        if not kept:
            wake.set()

    def watch_child() -> None:
        child.wait()
        wake.set()

    signal.signal(signal.SIGTERM, stop)
    for watch in (watch_parent, watch_child):
        threading.Thread(target=watch, daemon=True).start()
    wake.wait()
    end_group(child)
    if not log_is_wanted:
        shutil.rmtree(directory, ignore_errors=True)
    return child.returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
