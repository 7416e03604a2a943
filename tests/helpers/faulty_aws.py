"""What goes wrong between the processor and AWS, as a test plans it: one fault a call, in order."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from proof.memory_aws import FakeAws

Call = Callable[..., Any]
Fault = Callable[[Call, dict[str, Any]], Any]
"""Stands in for one call: gets the real one and its arguments, gives the answer or raises."""


class Faults:
    """Stands where `clients.make` does, before AWS in memory.

    `planned["put_events"]` lists what the next calls of that operation do instead, by turns; with `None`, and when it
    is used up, calls go through. `made` lists the arguments of all calls of an operation.
    """

    def __init__(self, aws: FakeAws) -> None:
        self.aws = aws
        self.planned: dict[str, list[Fault | None]] = defaultdict(list)
        self.made: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def client(self, service: str, **_: Any) -> "_Client":
        return _Client(self, self.aws.client(service))


class _Client:
    def __init__(self, faults: Faults, service: Any) -> None:
        self._faults = faults
        self._service = service

    def __getattr__(self, operation: str) -> Call:
        call: Call = getattr(self._service, operation)

        def made(*positional: Any, **arguments: Any) -> Any:
            self._faults.made[operation].append(arguments)
            with self._faults.aws.lock:
                planned = self._faults.planned[operation]
                fault = planned.pop(0) if planned else None
            return fault(call, arguments) if fault else call(*positional, **arguments)

        return made


def down(_: Call, arguments: dict[str, Any]) -> Any:
    """The service refuses the whole call."""
    raise ClientError({"Error": {"Code": "ServiceUnavailable", "Message": "Try later"}}, "Operation")


def lost_answer(call: Call, arguments: dict[str, Any]) -> Any:
    """The call is carried out, and its answer never arrives."""
    call(**arguments)
    raise ReadTimeoutError(endpoint_url="https://aws.example")


class Died(BaseException):
    """The process is no more."""


def dying(_: Call, arguments: dict[str, Any]) -> Any:
    """The process ends before the call."""
    raise Died


def done_dying(call: Call, arguments: dict[str, Any]) -> Any:
    """The process ends after the call."""
    call(**arguments)
    raise Died


def after(action: Callable[[], object]) -> Fault:
    """The call goes through once something else has happened."""

    def fault(call: Call, arguments: dict[str, Any]) -> Any:
        action()
        return call(**arguments)

    return fault


def refusing(code: str, *which: int) -> Fault:
    """A BatchExecuteStatement of which these statements fail with a code, and the others are carried out."""

    def fault(call: Call, arguments: dict[str, Any]) -> Any:
        statements = arguments["Statements"]
        rest = [each for position, each in enumerate(statements) if position not in which]
        done = iter(call(Statements=rest)["Responses"] if rest else [])
        refused = {"Error": {"Code": code, "Message": "Refused"}}
        return {"Responses": [refused if position in which else next(done) for position in range(len(statements))]}

    return fault
