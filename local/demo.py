"""The whole system on this machine: `python -m local.demo`, which `make demo` calls.

Deploys the program to a local AWS, sends a month of events through it, shows what came out, as a page too
(build/report.html), and compares all of it with a plain recomputation. Takes the environment variables EVENTS (a file
of one's own instead of the sample month, its times taken as they are), PORT (instead of a free one) and KEEP=1 (leave
the local AWS running). Ends with 1 on any difference. Only shows: what is done is in the other modules of this
directory.
"""

import json
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from pulumi import RunError
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from bundle import layer
from functions.aws import clock
from functions.entities.alerts import AlertRules
from functions.model import DAY_MS
from local import events_file
from local.deploy import deploy, stack_settings
from local.flow import Flow, Item, Sent, Topic
from local.ministack import ROOT, LocalAws, LocalAwsError, running
from local.readback import read_back
from ops import target as ops_target
from ops.report.gather import Sources, gather
from ops.report.page import render
from ops.wholes import Tables
from proof import compare
from proof.oracle import EntityKey, Record, Rules, recompute

SAMPLE_MONTH = ROOT / "tests" / "data" / "sample-month.ndjson"
STACK = "dev"
PAGE = ROOT / "build" / "report.html"
SHOWN_ENTITIES = {"student": 5, "tutor": 2, "subject": 3}
SHOWN_ROLLED_UP = (
    "sessions_7d",
    "session_velocity",
    "avg_rating",
    "active_students_30d",
    "first_sessions_30d",
    "first_session_success_rate",
)
SHOWN_ENTITIES_ROLLED_UP = {"subject": 4, "tutor": 2}
SHOWN_DIFFERENCES = 20

console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)


class Differences(Exception):
    """What was found is not what must be; each line says one difference."""

    def __init__(self, title: str, lines: list[str]) -> None:
        shown = [f"  {line}" for line in lines[:SHOWN_DIFFERENCES]]
        if len(lines) > SHOWN_DIFFERENCES:
            shown.append(f"  ... and {len(lines) - SHOWN_DIFFERENCES} more")
        super().__init__("\n".join([f"{len(lines)} {title}:", *shown]))


class Step:
    """A step that is being shown."""

    def __init__(self, progress: Progress, title: str, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=total)

    def says(self, text: str) -> None:
        """Show what is being done."""
        self._progress.update(self._task, description=text)

    def is_at(self, completed: int) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=completed)


@contextmanager
def step(title: str, total: int | None = None) -> Iterator[Step]:
    """Show one step: live on a terminal, with a bar where a total is known; one line once it is done anywhere else."""
    bar = (BarColumn(), MofNCompleteColumn()) if total else ()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), *bar, TimeElapsedColumn())
    started = time.monotonic()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Step(progress, title, total)
    console.print(f"[green]✓[/] {title} [dim]{time.monotonic() - started:.1f} s[/]")


def main() -> int:
    """Run the demo; return the exit status."""
    signal.signal(signal.SIGTERM, _interrupt)  # so that it too leaves nothing behind
    try:
        with ExitStack() as stack:
            _run(stack, os.environ)
    except KeyboardInterrupt:
        console.print("\n[yellow]Interrupted; the local AWS is stopped and its files are removed.[/]")
        return 130
    except (LocalAwsError, RunError, events_file.EventsFileError, Differences) as error:
        console.print("[red]✗[/] ", end="")
        console.print(str(error), markup=False)
        return 1
    return 0


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run(stack: ExitStack, environment: Mapping[str, str]) -> None:
    lines = _events(environment.get("EVENTS"))
    port = _port(environment.get("PORT"))
    with step("dependency layer for this Python"):
        layer_directory = layer.build(layer.LOCAL)
    with step("local AWS (ministack)") as showing:
        region = stack_settings(STACK)["aws:region"]
        local_aws = stack.enter_context(running(region, port, showing.says))
    flow = _deploy(local_aws, layer_directory)
    try:
        sent, took = _send(flow, lines)
        with step("roll: what time alone has changed"):
            rolled = flow.roll()
        with step("rollup: what only all items together tell"):
            rolled_up = flow.rollup()
        run = Run(
            flow.with_arrivals(sent),
            flow.rules(),
            compare.Reading(flow.items(), rolled_up["as_of"]),
            flow.internal(),
            flow.alerts(),
            flow.delivered(),
            flow.quarantined(),
        )
        _show(run, took, rolled, rolled_up)
        _write_page(local_aws, flow, run.rules)
        _compare(run)
        _repeat(flow, run)
    except Differences:  # which one may want to look into
        _keep_if_asked(local_aws, flow, environment)
        raise
    _keep_if_asked(local_aws, flow, environment)


@dataclass(frozen=True)
class Run:
    """What went in, and all that came out."""

    records: list[Record]
    rules: Rules
    reading: compare.Reading
    internal: list[Item]
    told: list[dict[str, Any]]
    delivered: dict[Topic, list[dict[str, Any]]]
    quarantined: list[dict[str, Any]]

    @property
    def items(self) -> Mapping[EntityKey, Item]:
        """The whole table."""
        return self.reading.items

    def tails(self) -> int:
        """How many entities have a tail."""
        return sum(item["pk"].startswith("tail#") for item in self.internal)

    def wakes(self) -> list[datetime]:
        """When each wake is due, the first first."""
        dues = sorted(item["sk"].partition("#")[0] for item in self.internal if item["pk"].startswith("wake#"))
        return [datetime.fromtimestamp(int(due), UTC) for due in dues]


def _events(chosen: str | None) -> list[bytes]:
    if chosen:
        return events_file.read(Path(chosen))
    return events_file.read(SAMPLE_MONTH, rebase_to=datetime.now(UTC))


def _port(text: str | None) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or not 1024 <= int(text) <= 65535:
        raise LocalAwsError(f"PORT is {text!r}: it must be a number from 1024 to 65535")
    return int(text)


def _deploy(local_aws: LocalAws, layer_directory: Path) -> Flow:
    with step(f"the program of __main__.py, stack {STACK}") as showing:
        deployment = deploy(
            local_aws,
            STACK,
            {"layerDirectory": str(layer_directory)},
            lambda resource: showing.says(f"created {resource.name}"),
        )
    readback = read_back(local_aws, deployment)
    console.print(
        f"  {readback.resources} resources created, {readback.properties} properties read back, "
        f"{len(readback.differences)} differ; ministack keeps {len(readback.stored_only)} without acting on them, "
        f"does not keep {len(readback.not_kept)}, and has {len(deployment.replaced)} policies written for it"
    )
    if readback.differences:
        raise Differences("properties are not as declared", readback.differences)
    flow = Flow(local_aws, deployment.outputs)
    flow.listen()
    return flow


def _send(flow: Flow, lines: list[bytes]) -> tuple[list[Sent], float]:
    started = time.monotonic()
    with step(f"{len(lines):,} records put on the stream", len(lines)) as showing:
        sent = flow.send(lines, showing.is_at)
    with step("processed", len(lines)) as showing:
        flow.wait(showing.is_at)
    took = time.monotonic() - started
    if failed := flow.reported_failed():
        console.print(
            f"[yellow]  The processor reported {failed} records as failed. AWS would deliver them again; ministack "
            "does not, so they are missing below.[/]"
        )
    return sent, took


def _show(run: Run, took: float, rolled: dict[str, Any], rolled_up: dict[str, Any]) -> None:
    _show_alerts(run.told)
    _show_quarantine(run.quarantined)
    _show_entities(run.items)
    _show_rolled_up(run.items)
    whole = recompute(run.records, run.records[-1].arrival_ms, run.rules)
    wakes = run.wakes()
    first = f", the first due at {wakes[0]:%H:%M} UTC" if wakes else ""
    topics = ", ".join(f"{topic} {len(alerts)}" for topic, alerts in run.delivered.items())
    console.print(
        f"[bold]{len(run.records):,} events in[/]: {whole.distinct:,} distinct, {whole.duplicates:,} duplicates, "
        f"{len(run.quarantined):,} quarantined\n"
        f"[bold]{len(run.items):,} entities[/], {run.tails()} with older facts in a tail; the roll found "
        f"{rolled['due']} due and the rollup wrote {rolled_up['written']}\n"
        f"[bold]{len(wakes):,} wakes[/] for what time alone will change{first}\n"
        f"[bold]{len(run.told):,} alerts[/] over the bus, delivered by the topics: {topics}\n"
        f"[bold]{len(run.records) / took:,.0f} records a second[/] into the stream and out of the table, "
        f"cold start included ({took:.1f} s)"
    )


def _table(title: str, *columns: str) -> Table:
    return Table(*columns, title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)


def _show_alerts(told: list[dict[str, Any]]) -> None:
    table = _table("Alerts as they came over the bus", "severity", "status", "alert", "message")
    colours = {"critical": "red", "warning": "yellow", "info": "cyan"}
    for alert in told:
        severity = Text(alert["severity"], style=colours[alert["severity"]])
        table.add_row(severity, alert["status"], alert["alert_type"], Text(alert["message"]))
    console.print(table)


def _show_quarantine(quarantined: list[dict[str, Any]]) -> None:
    table = _table("Quarantined records", "reason", "records", "the first says")
    by_reason: dict[str, list[str]] = defaultdict(list)
    for body in quarantined:
        by_reason[body["reason"]].append(body["detail"])
    for reason, details in sorted(by_reason.items()):
        table.add_row(reason, str(len(details)), Text(details[0], overflow="ellipsis", no_wrap=True))
    console.print(table)


def _show_entities(items: Mapping[EntityKey, Item]) -> None:
    figures = ("sessions_7d", "sessions_30d", "avg_rating", "ib_calls_14d", "health_score")
    table = _table("Entities with most to say", "entity", *figures, "firing")
    loudest = sorted(items.values(), key=lambda item: (len(item["alerts"]), item.get("sessions_7d", 0)), reverse=True)
    for entity_type, shown in SHOWN_ENTITIES.items():
        for item in [item for item in loudest if item["entity_type"] == entity_type][:shown]:
            firing = ", ".join(f"{name} ({alert['severity']})" for name, alert in sorted(item["alerts"].items()))
            values = (str(item.get(name, "")) for name in figures)
            table.add_row(Text(f"{entity_type} {item['entity_id']}"), *values, firing)
    console.print(table)


def _show_rolled_up(items: Mapping[EntityKey, Item]) -> None:
    table = _table("What all sessions together tell, each counted once", "entity", *SHOWN_ROLLED_UP)
    busiest = sorted(
        items.values(), key=lambda item: (item.get("first_sessions_30d", 0), item["entity_id"]), reverse=True
    )
    for entity_type, shown in SHOWN_ENTITIES_ROLLED_UP.items():
        for item in [item for item in busiest if item["entity_type"] == entity_type][:shown]:
            values = (str(item.get(name, "")) for name in SHOWN_ROLLED_UP)
            table.add_row(Text(f"{entity_type} {item['entity_id']}"), *values)
    console.print(table)


def _write_page(local_aws: LocalAws, flow: Flow, rules: Rules) -> None:
    with step("report page"):
        now_ms = clock.now_ms()
        dynamodb, s3, logs = (local_aws.client(service) for service in ("dynamodb", "s3", "logs"))
        tables = Tables(flow.outputs["MetricsTableName"], flow.state_table())
        bucket, processor, notifier = (
            flow.outputs[f"{each}Name"] for each in ("QuarantineBucket", "ProcessFunction", "NotifierFunction")
        )
        sources = Sources(dynamodb, s3, logs, tables, bucket, processor, notifier)
        os.environ.update(local_aws.environment())  # by which the processor's own clients read tails
        thresholds = AlertRules(health_warning=rules.health_warning, health_critical=rules.health_critical)
        since_ms = now_ms - DAY_MS  # everything happened in the last minutes
        report = gather(sources, thresholds, now_ms, alerts_since_ms=since_ms, batches_since_ms=since_ms)
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(render(report), encoding="utf-8", errors="replace")
    console.print(f"  all of it as one page, to be opened in a browser: {PAGE}", soft_wrap=True)


def _compare(run: Run) -> None:
    with step("compared with a plain recomputation from the records"):
        differences = [
            *compare.differing_items(run.reading, compare.History(run.records, run.rules), run.records[-1].arrival_ms),
            *compare.differing_quarantine(run.quarantined, run.records, run.rules),
            *compare.differing_alerts(run.items, run.told, run.delivered),
        ]
    if differences:
        raise Differences("differences from the recomputation", differences)
    metrics = sum(len(compare.public(item)) for item in run.items.values())
    console.print(
        f"  all {metrics:,} metrics of {len(run.items):,} entities are equal, and so are alerts and quarantine"
    )


def _repeat(flow: Flow, run: Run) -> None:
    sent, _ = _send(flow, [record.data for record in run.records])
    again = flow.with_arrivals(sent)
    news = compare.new_when_repeated(run.records, again, run.rules)
    if news:
        console.print(f"  {len(news)} of them are new events now: without a time of their own, or no longer too early")
    with step("compared again, after everything was sent a second time"):
        rolled_up = flow.rollup()
        reading, told = compare.Reading(flow.items(), rolled_up["as_of"]), flow.alerts()
        history = compare.History([*run.records, *news], run.rules)
        differences = [
            *compare.differing_items(reading, history, again[-1].arrival_ms),
            *compare.unexplained_alerts(told, run.reading, reading, history),
        ]
    if differences:
        raise Differences("differences after everything was sent a second time", differences)
    written = sum(entity not in run.items or item != run.items[entity] for entity, item in reading.items.items())
    console.print(
        f"  no metric changed but by {'new events and ' if news else ''}the time that passed meanwhile: ", end=""
    )
    console.print(f"{written} items were written, {len(told)} alerts published")


def _keep_if_asked(local_aws: LocalAws, flow: Flow, environment: Mapping[str, str]) -> None:
    if environment.get("KEEP") != "1":
        return
    reached = local_aws.environment()
    pid = local_aws.keep()
    kept = {"environment": reached, "outputs": flow.outputs, "pid": pid}
    ops_target.LOCAL.parent.mkdir(exist_ok=True)
    ops_target.LOCAL.write_text(json.dumps(kept, indent=2))
    console.print("\n[bold]The local AWS is left running.[/] To look into it: .venv/bin/iops --help, with --local")
    console.print("To reach it with any AWS tool:")
    for name, value in reached.items():
        console.print(f"  export {name}={value}")
    console.print(f"To stop it and remove its files: kill {pid}")


if __name__ == "__main__":
    sys.exit(main())
