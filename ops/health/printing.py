"""How `lag` and `doctor` print what they find."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import typer
from rich.text import Text

from ops import printing
from ops.health.check_results import Findings, Status
from ops.options import Output

_STYLES: Final = {Status.OK: "green", Status.WRONG: "bold red", Status.SKIPPED: "dim"}


@contextmanager
def waiting() -> Iterator[Callable[[str], None]]:
    """Shows what a command waits for, on a terminal only. Yields the function that changes the text."""
    console = printing.messages()
    if not console.is_terminal:
        yield lambda _text: None
        return
    with console.status("") as status:
        yield status.update


def print_findings(findings: Findings, output: Output, well: str) -> None:
    """Prints the findings, and ends the command with exit code 1 when one of them is wrong.

    Parameters
    ----------
    findings
        What the checks have found.
    output
        Table or JSON.
    well
        The sentence for the case that nothing is wrong.

    Raises
    ------
    typer.Exit
        When a finding is wrong.
    """
    if output is Output.JSON:
        printing.print_json(
            {"well": findings.all_well, "findings": [dataclasses.asdict(finding) for finding in findings.found]}
        )
    else:
        console = printing.output()
        rows = printing.table("part", "", "what was found", whole=("part", ""))
        for finding in findings.found:
            text = Text(finding.said + (f"\n→ {finding.do}" if finding.do else ""))
            rows.add_row(finding.part, Text(finding.status, style=_STYLES[finding.status]), text)
        console.print(rows)
        numbers = Counter(finding.status for finding in findings.found)
        summary = ", ".join(f"{numbers[status]} {status}" for status in Status if numbers[status])
        console.print(f"{summary}." + (f" {well}" if findings.all_well else ""))
    if not findings.all_well:
        raise typer.Exit(1)
