"""Arguments that are declared plain refuse Outputs by name; those that take Inputs take them."""

from collections.abc import Callable
from typing import Any

import pulumi
import pytest

from components.__main__ import COMPONENTS
from components.alert_bus import AlertBus, AlertBusArgs
from components.event_stream import EventStream
from components.plain import check_plain
from components.watch.arguments import ObservabilityArgs
from tests.helpers.recorded_program import record

EACH_COMPONENT = pytest.mark.parametrize("component", COMPONENTS, ids=lambda each: each.__name__)


def accepted_by(component: Any) -> type:
    """The TypedDict of a component's arguments."""
    accepted: type = component.__init__.__annotations__["args"]
    return accepted


def plain(component: Any) -> list[str]:
    """The arguments of a component whose declaration names neither Inputs nor archives."""
    declared = accepted_by(component).__annotations__
    return [name for name, hint in declared.items() if "Output" not in str(hint) and "Archive" not in str(hint)]


def refused(program: Callable[[], object], match: str) -> None:
    with pytest.raises(TypeError, match=match):
        record(program)


def test_a_secret_as_an_existing_stream_is_refused_by_name() -> None:
    def program() -> None:
        args: Any = {"name_prefix": "p", "existing_arn": pulumi.Output.secret("arn"), "shards": 2}
        EventStream("events", args)

    refused(program, r"^events: existing_arn must be plain, .* an Output or a secret is not allowed")


@EACH_COMPONENT
def test_every_component_refuses_an_output_in_its_plain_arguments(component: Any) -> None:
    names = plain(component)
    assert names

    def program() -> None:
        component("it", {"name_prefix": "p", **dict.fromkeys(names, pulumi.Output.from_input("x"))})

    refused(program, f"^it: {', '.join(names)} must be plain")


def test_an_output_in_a_plain_list_is_refused() -> None:
    def program() -> None:
        args: Any = {"name_prefix": "p", "critical_emails": ["a@b.org", pulumi.Output.secret("c@d.org")]}
        AlertBus("alerts", args)

    refused(program, "^alerts: critical_emails must be plain")


def test_what_is_declared_to_take_inputs_takes_them() -> None:
    def program() -> None:
        some = pulumi.Output.from_input("x")
        check_plain("it", AlertBusArgs, {"name_prefix": some, "log_key_arn": some})
        check_plain("it", ObservabilityArgs, {"rule_names": [some], "index_names": ["a"], "emails": []})

    record(program)
