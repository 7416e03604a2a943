"""Makes docs/walkthrough.md by running its commands: `python -m local.walkthrough`, beside a demo left running.

An operator's morning: which alerts fire, why one student's does, and a poison record mended and put back. Start it with
`make demo KEEP=1`; what it shows is the sample month's, so that another run tells the same but for times.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.ministack import ROOT

DOCUMENT = ROOT / "docs" / "walkthrough.md"
WIDTH = 116
HEAD = """# An operator's walkthrough

A morning with the [demo](../README.md#try-it): why does one student's alert fire, and what became of a record that was
refused? Every line here was made by running the commands (`make demo KEEP=1`, then `python -m local.walkthrough`).
Against an account only `--local` becomes `--stack NAME`. All commands: `iops --help`, [operations](operations.md).
"""


class WalkthroughError(Exception):
    """What the user has to know in one message."""


@dataclass
class Transcript:
    """What was said and run so far."""

    directory: Path
    parts: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """A paragraph or a heading."""
        self.parts.append(text)

    def run(self, *commands: str, allowed: int = 0) -> None:
        """Commands in one block, each with what it printed."""
        block = "".join(f"$ {command}\n{self._printed(command, allowed)}" for command in commands)
        self.parts.append(f"```console\n{block}```")

    def read(self, command: str) -> Any:
        """What a command prints as JSON; it is not shown."""
        return json.loads(self._run(f"{command} --output json").stdout)

    def _printed(self, command: str, allowed: int) -> str:
        done = self._run(command, allowed)
        lines = [line.rstrip() for line in (done.stdout + done.stderr).splitlines()]
        return "".join(f"{line}\n" for line in _trimmed(lines))

    def _run(self, command: str, allowed: int = 0) -> subprocess.CompletedProcess[str]:
        scripts = Path(sys.executable).parent
        environment = {
            **os.environ,
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": str(WIDTH),
            "NO_COLOR": "1",
        }
        done = subprocess.run(  # noqa: S602 - what a reader types, redirections included
            command, shell=True, cwd=self.directory, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode not in (0, allowed):
            raise WalkthroughError(f"`{command}` ended with {done.returncode}; see why:\n{done.stdout}{done.stderr}")
        return done


def _trimmed(lines: list[str]) -> Iterator[str]:
    """Without empty lines at the ends and two in a row."""
    before = ""
    for line in lines:
        if line or before:
            yield line
        before = line


def write(transcript: Transcript) -> None:
    """The walk."""
    say, run, read = transcript.say, transcript.run, transcript.read
    say(HEAD)
    say("## Which alerts fire?")
    run("iops alerts --severity critical --local")
    student = next(
        alert["entity_id"]
        for alert in read("iops alerts --severity critical --local")["alerts"]
        if alert["entity_type"] == "student"
    )
    say(f"## Why does that of {student}?")
    run(f"iops entity student {student} --explain --local")
    score = read(f"iops entity student {student} --local")["attributes"]["health_score"]
    say(
        f"So it is the latest health report, with a score of {score}, that is critical; nothing but a better report "
        "ends it, for a score does not age. The other alert is of calls, and says when the first of them leaves."
    )
    say("## What was refused?")
    run("iops quarantine list --reason invalid_field --limit 5 --local")
    record = _overrated(read("iops quarantine list --reason invalid_field --local"), transcript)
    say("One of them is a completed session with a rating that does not exist:")
    run(f"iops quarantine show {record.key} --local")
    say(f"## Mend it and put it back\n\nThe student meant 5, as a call brings out. Of {record.student} so far:")
    run(f"iops entity student {record.student} --local")
    run(
        f"iops quarantine show {record.key} --data --local > record.json",
        'sed -i \'s/"student_rating":11/"student_rating":5/\' record.json',
        f"iops quarantine redrive {record.key} --data record.json --local",
        f"iops quarantine redrive {record.key} --data record.json --execute --local",
    )
    say("A moment later the rating counts, and the record is in the quarantine no more:")
    time.sleep(3)
    run(
        f"iops entity student {record.student} --local",
        f"iops quarantine show {record.key} --local",
        allowed=254,
    )


@dataclass(frozen=True)
class _Record:
    key: str
    student: str


def _overrated(listed: Any, transcript: Transcript) -> _Record:
    for each in listed["objects"]:
        shown = transcript.read(f"iops quarantine show {each['key']} --local")
        payload = shown["records"][0]["event"]["payload"]
        if payload.get("student_rating") == 11:
            return _Record(each["key"], payload["student_id"])
    raise WalkthroughError("no session with a student_rating of 11 is in the quarantine; run `make demo KEEP=1` again")


def main() -> int:
    """Write the document; return the exit status."""
    with tempfile.TemporaryDirectory() as directory:
        transcript = Transcript(Path(directory))
        try:
            write(transcript)
        except WalkthroughError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    DOCUMENT.write_text(re.sub(r"\n{3,}", "\n\n", "\n\n".join(transcript.parts)) + "\n", encoding="utf-8")
    print(f"{DOCUMENT.relative_to(ROOT)} is written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
