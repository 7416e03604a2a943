"""What was found about one part of a deployment, in plain words, and how a call that AWS refuses is told as one.

Whoever looks for something does so within `looking`, so that a permission that is missing costs one finding and not the
whole.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from botocore.exceptions import ClientError

from ops import aws
from ops.aws import UserError
from ops.target import Target


class Status(StrEnum):
    """How a part is."""

    OK = "ok"
    WRONG = "wrong"
    SKIPPED = "skipped"
    """It could not be looked at, or there is nothing to judge by."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How one part of a deployment is."""

    part: str
    status: Status
    said: str
    """What was found."""
    do: str = ""
    """What to do about it."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """The numbers and times behind it, by name; times are ISO-8601."""


class Findings:
    """All that was found, in the order in which it was looked for."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.found: list[Finding] = []

    @property
    def all_well(self) -> bool:
        """Whether nothing is wrong; what was skipped is not."""
        return all(each.status is not Status.WRONG for each in self.found)

    def ok(self, part: str, said: str, **figures: Any) -> None:
        """All is well with it."""
        self.found.append(Finding(part, Status.OK, said, figures=figures))

    def wrong(self, part: str, said: str, do: str, **figures: Any) -> None:
        """It is not as it should be."""
        self.found.append(Finding(part, Status.WRONG, said, do, figures))

    def skipped(self, part: str, said: str, do: str = "", **figures: Any) -> None:
        """It cannot be told."""
        self.found.append(Finding(part, Status.SKIPPED, said, do, figures))

    @contextmanager
    def looking(self, part: str, **names: str) -> Iterator[None]:
        """Makes findings of what AWS refuses within: of a missing permission or throttling one that is skipped, of a
        missing thing one that is wrong.

        Parameters
        ----------
        part
            What is looked at.
        names
            Names that an error may be about, by kind, beside those of the target; `_` stands for a space.

        Raises
        ------
        ClientError
            For whatever else AWS answers.
        """
        try:
            yield
        except ClientError as error:
            told = aws.explain(
                error, {**self._target.names, **{kind.replace("_", " "): name for kind, name in names.items()}}
            )
            if aws.is_denied(error) or aws.is_throttled(error):
                self.skipped(part, str(told))
            elif aws.is_missing(error):
                self.wrong(part, str(told), "run `pulumi up`, which puts back what the program declares")
            else:
                raise
        except UserError as error:
            self.wrong(part, str(error), "run `pulumi up`, which puts back what the program declares")
