"""What the checks of a deployment find, in plain words.

A check runs within `checking`, so that a missing permission costs one finding and does not end the command.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from botocore.exceptions import ClientError

from ops import aws
from ops.aws import UserError
from ops.target import Target

PUT_BACK: Final = "run `pulumi up`, which puts back what the program declares"


class Status(StrEnum):
    """The state of a part."""

    OK = "ok"
    WRONG = "wrong"
    SKIPPED = "skipped"
    """The part could not be checked, or there is nothing to judge it by."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The state of one part of a deployment."""

    part: str
    status: Status
    said: str
    """What was found."""
    do: str = ""
    """What to do about it."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """The numbers and times behind it, by name; times are ISO-8601."""


class Findings:
    """All findings, in the order of the checks."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.found: list[Finding] = []

    @property
    def all_well(self) -> bool:
        """Whether no part is wrong; a part that was skipped is not wrong."""
        return all(finding.status is not Status.WRONG for finding in self.found)

    def ok(self, part: str, said: str, **figures: Any) -> None:
        """Adds a part that is well."""
        self.found.append(Finding(part, Status.OK, said, figures=figures))

    def wrong(self, part: str, said: str, do: str, **figures: Any) -> None:
        """Adds a part that is not as it should be."""
        self.found.append(Finding(part, Status.WRONG, said, do, figures))

    def skipped(self, part: str, said: str, do: str = "", **figures: Any) -> None:
        """Adds a part that could not be checked."""
        self.found.append(Finding(part, Status.SKIPPED, said, do, figures))

    def judge(self, part: str, said: str, do: str, *, is_wrong: bool, **figures: Any) -> None:
        """Adds a part as wrong, with what to do about it, or as well.

        Parameters
        ----------
        part
            What was checked.
        said
            What was found, in either case.
        do
            What to do if the part is wrong.
        is_wrong
            The verdict.
        figures
            As `Finding.figures`.
        """
        if is_wrong:
            self.wrong(part, said, do, **figures)
        else:
            self.ok(part, said, **figures)

    @contextmanager
    def checking(self, part: str, **names: str) -> Iterator[None]:
        """Turns an error of AWS into a finding: wrong for a missing thing, skipped for a missing permission.

        Parameters
        ----------
        part
            What is checked.
        names
            Names that an error may be about, by kind, beside those of the target; `_` stands for a space.

        Raises
        ------
        ClientError
            For every other error of AWS but throttling, which is skipped too.
        """
        try:
            yield
        except ClientError as error:
            more_names = {kind.replace("_", " "): name for kind, name in names.items()}
            explained = aws.explain(error, {**self._target.names, **more_names})
            if aws.is_denied(error) or aws.is_throttled(error):
                self.skipped(part, str(explained))
            elif aws.is_missing(error):
                self.wrong(part, str(explained), PUT_BACK)
            else:
                raise
        except UserError as error:
            self.wrong(part, str(error), PUT_BACK)
