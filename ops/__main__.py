"""The operators' command line: `python -m ops --help`.

Only reads what was asked and shows what came of it. Exit codes: 0 done, 1 something needs attention, 2 a mistake in the
command, and the AWS CLI's 253 (credentials or configuration), 254 (AWS refused) and 255 (anything else).
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from functions.processor.model import from_datetime
from functions.processor.observability import logger
from functions.processor.plan import Rules
from ops import audit, aws, redrive, show

_INTERRUPTED = 130

app = typer.Typer(
    name="python -m ops",
    help="Look after a deployed stack: redrive what was kept aside, audit what is stored.",
    no_args_is_help=True,
    add_completion=False,  # shells complete commands, not modules
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


class Output(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"


def _moment(text: str) -> int:
    """An ISO-8601 date or time, UTC unless it says otherwise, as epoch milliseconds."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no ISO-8601 date or time, such as 2026-11-23T10:00:00Z") from None
    return from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _endpoint(text: str | None) -> str | None:
    if text is not None and not re.fullmatch(r"https?://[^/\s]+\S*", text):
        raise typer.BadParameter(f"{text!r} is no URL, such as http://127.0.0.1:4566")
    return text


OutputOption = Annotated[Output, typer.Option("--output", help="How to print the result.")]
StackOutputs = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Take names that are not given from the JSON of `pulumi stack output --json`."),
]
Region = Annotated[str | None, typer.Option(metavar="NAME", help="AWS region; by default that of the environment.")]
Profile = Annotated[str | None, typer.Option(metavar="NAME", help="AWS profile; by default that of the environment.")]
EndpointUrl = Annotated[
    str | None, typer.Option(metavar="URL", callback=_endpoint, help="Another AWS endpoint, such as a local AWS's.")
]


@app.callback()
def _commands() -> None:
    """Keeps the commands' names even if there is only one."""


@app.command("redrive")
def redrive_command(
    bucket: Annotated[str | None, typer.Option(metavar="NAME", help="The quarantine bucket.")] = None,
    stream: Annotated[str | None, typer.Option(metavar="NAME", help="The stream to put the records on.")] = None,
    reason: Annotated[
        list[str] | None,
        typer.Option(
            help="Only what is there for this reason, such as not_json or RetryAttemptsExhausted; repeatable."
        ),
    ] = None,
    since: Annotated[
        int | None, typer.Option(parser=_moment, metavar="ISO", help="Only what arrived then or later.")
    ] = None,
    until: Annotated[int | None, typer.Option(parser=_moment, metavar="ISO", help="Only what arrived before.")] = None,
    key: Annotated[str, typer.Option(metavar="PREFIX", help="Only objects whose S3 key starts so.")] = "",
    failed: Annotated[
        bool, typer.Option("--failed", help="Only batches that the event source mapping gave up.")
    ] = False,
    quarantined: Annotated[
        bool, typer.Option("--quarantined", help="Only records that the processor quarantined.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Include too_late records.")] = False,
    execute: Annotated[bool, typer.Option("--execute", help="Do it; without this nothing is changed.")] = False,
    stack_outputs: StackOutputs = None,
    output: OutputOption = Output.TABLE,
    region: Region = None,
    profile: Profile = None,
    endpoint_url: EndpointUrl = None,
) -> None:
    """Put quarantined records and failed batches back on the stream.

    Says what it would do; with --execute it does it. An object is removed only after the stream has accepted all of its
    records, so a run may be interrupted and repeated at any point: a repeat makes duplicates at most, which the
    processor drops. A record that is still refused comes back to the quarantine under a new key.

    Exit code 1 when an object had to be left.

    Example: python -m ops redrive --stack-outputs outputs.json --reason too_many --since 2026-11-23 --execute
    """
    names: dict[str, str] = {}
    report = redrive.Report()
    with _telling(names):
        bucket = names["bucket"] = bucket or aws.stack_output(stack_outputs, "QuarantineBucketName", "--bucket")
        stream = names["stream"] = stream or aws.stack_output(stack_outputs, "EventStreamName", "--stream")
        if since is not None and until is not None and since >= until:
            raise aws.UserError("--since is not before --until, so nothing can be selected", 2)
        prefix = _prefix(key, failed=failed, quarantined=quarantined)
        selection = redrive.Selection(prefix, frozenset(reason or ()), since, until, force)
        aws.configure(region, profile, endpoint_url)
        s3, kinesis = aws.client("s3"), aws.client("kinesis")
        complete = False
        try:
            with show.progress("redriving" if execute else "reading") as move:

                def settled(outcome: redrive.Outcome, total: int) -> None:
                    report.outcomes.append(outcome)
                    move(1, total)

                redrive.redrive(s3, kinesis, bucket, stream, selection, execute=execute, report=settled)
            complete = True
        finally:
            if complete or report.put:  # what is done is told even when the rest is not
                if output is Output.JSON:
                    show.print_json(show.redriven_json(report, bucket, stream, executed=execute, complete=complete))
                else:
                    show.print_redriven(report, executed=execute)
    if report.objects("left"):
        raise typer.Exit(1)


def _prefix(key: str, *, failed: bool, quarantined: bool) -> str:
    """The S3 prefix that a choice of kinds and a key come to."""
    kinds = {redrive.ON_FAILURE: failed, redrive.QUARANTINED: quarantined}
    chosen = [place for place, asked in kinds.items() if asked] or list(kinds)
    if not any(place.startswith(key) or key.startswith(place) for place in chosen):
        raise aws.UserError(f"--key {key!r} selects nothing: keys start with {' or '.join(chosen)}", 2)
    return max(chosen[0], key, key=len) if len(chosen) == 1 else key


@app.command("audit")
def audit_command(
    table: Annotated[str | None, typer.Option(metavar="NAME", help="The metrics table.")] = None,
    function: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The processor's function, whose settings are read; --repair needs them."),
    ] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Rewrite the items that differ.")] = False,
    segments: Annotated[int, typer.Option(min=1, max=64, help="Parts of the table to scan side by side.")] = 4,
    overdue_minutes: Annotated[
        int, typer.Option(min=0, help="How late the roll may be before an item is reported.")
    ] = audit.OVERDUE_SECONDS // 60,
    stack_outputs: StackOutputs = None,
    output: OutputOption = Output.TABLE,
    region: Region = None,
    profile: Profile = None,
    endpoint_url: EndpointUrl = None,
) -> None:
    """Recompute every item's attributes from its facts and report what differs.

    Reads the whole table. With --repair the items that differ are rewritten by the processor's own conditional write,
    which judges their alerts too, hence the need for its settings; what is to be told of them the next roll sends.

    Exit code 1 when items differ (and were not repaired), cannot be read, or should have been rolled long ago.

    Example: python -m ops audit --stack-outputs outputs.json --output json
    """
    names: dict[str, str] = {}
    with _telling(names):
        names["table"] = table or aws.stack_output(stack_outputs, "MetricsTableName", "--table")
        if function or stack_outputs:
            names["function"] = function or aws.stack_output(stack_outputs, "ProcessFunctionName", "--function")
        elif repair:
            raise aws.UserError(
                "--repair needs --function or --stack-outputs: the alerts of what is rewritten are judged by the "
                "deployed processor's settings",
                2,
            )
        aws.configure(region, profile, endpoint_url)
        rules = aws.deployed_rules(names["function"]) if "function" in names else Rules()
        with show.progress("auditing") as move:
            report = audit.audit(
                aws.client("dynamodb"),
                names["table"],
                rules,
                segments=segments,
                overdue_seconds=overdue_minutes * 60,
                report=lambda items: move(items, None),
            )
        if repair and report.differing:
            with show.progress("repairing") as move, _quiet():
                audit.repair(
                    report.differing,
                    names["table"],
                    rules,
                    report=lambda items: move(items, len(report.differing)),
                )
        deployed = "function" in names
        if output is Output.JSON:
            show.print_json(show.audited_json(report, names["table"], deployed_rules=deployed))
        else:
            show.print_audited(report, deployed_rules=deployed, repaired=repair)
    if not report.clean:
        raise typer.Exit(1)


@contextmanager
def _telling(names: Mapping[str, str]) -> Iterator[None]:
    """Ends the command with one message, and no traceback, for whatever a user can do something about."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        _end(aws.explain(error, names))
    except aws.UserError as error:
        _end(error)
    except KeyboardInterrupt:
        _end(aws.UserError("interrupted; run the same command again to go on where it stopped", _INTERRUPTED))


def _end(error: aws.UserError) -> None:
    show.messages().print(f"error: {error}", markup=False, soft_wrap=True)
    raise typer.Exit(error.exit_code) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the processor's log off standard output; what went wrong is in the report."""
    level = logger.log_level
    logger.setLevel("CRITICAL")
    try:
        yield
    finally:
        logger.setLevel(level)


if __name__ == "__main__":
    app()
