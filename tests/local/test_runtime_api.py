"""Functions under AWS's own runtime interface client: what it gets from the runtime API here, what comes back."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.runtime_api import FunctionError, InitError, RuntimeApiError, running, unpack

HANDLERS = """
import os, sys, time

def told(event, context):
    print("hello from", event["name"])
    return {
        "event": event,
        "process": os.getpid(),
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "remaining_ms": context.get_remaining_time_in_millis(),
        "memory_mb": context.memory_limit_in_mb,
        "environment": dict(os.environ),
        "path": sys.path,
    }

def works(event, context):
    ends = time.process_time() + event["seconds"]
    held = bytearray(event["bytes"])
    while time.process_time() < ends:
        pass
    return len(held)

def raises(event, context):
    if event["fine"]:
        return "fine"
    raise LookupError("there is no such thing")

def answers_with_what_is_no_json(event, context):
    return {1, 2}

def dies(event, context):
    print("last words")
    os._exit(3)

def takes_too_long(event, context):
    time.sleep(60)
"""

Start = Callable[..., Any]


@pytest.fixture
def start(runtime: Path, tmp_path: Path) -> Start:
    (tmp_path / "handlers.py").write_text(HANDLERS)
    (tmp_path / "broken.py").write_text("raise RuntimeError('nothing is ready')")
    (tmp_path / "needy.py").write_text("import not_in_any_layer")

    def begin(handler: str, **options: Any) -> Any:
        environment = {"GREETING": "hello", "AWS_LAMBDA_FUNCTION_NAME": "told"}
        return running(handler, environment, [tmp_path, runtime], **options)

    return begin


def test_a_function_gets_events_and_is_told_what_lambda_tells(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_TEST", "not for the function")
    with start("handlers.told", memory_mb=512, timeout_seconds=30) as function:
        one, other = (function.invoke({"name": name, "numbers": [1, 2.5, None]}) for name in ("Ann", "Åsa"))
        assert "hello from Ann\n" in function.log()
    assert one["event"] == {"name": "Ann", "numbers": [1, 2.5, None]}
    assert other["event"]["name"] == "Åsa"
    assert one["request_id"] != other["request_id"]
    assert one["arn"] == "arn:aws:lambda:us-east-1:123456789012:function:told"
    assert one["memory_mb"] == "512"
    assert 0 < other["remaining_ms"] <= 30_000
    environment = one["environment"]
    assert environment["GREETING"] == "hello"
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "told"
    assert environment["_X_AMZN_TRACE_ID"].startswith("Root=1-")
    assert "OF_THE_TEST" not in environment
    assert not [entry for entry in one["path"] if "site-packages" in entry]


def test_its_processes_and_files_go_with_it(start: Start, tmp_path: Path) -> None:
    with start("handlers.told") as function:
        process = function.invoke({"name": "Ann"})["process"]
        log = function._log
        assert log.is_file()
    assert not log.parent.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert not list(tmp_path.rglob("__pycache__"))


@pytest.mark.skipif(sys.platform != "linux", reason="CPU and memory of another process are read as Linux tells them")
def test_time_and_memory_are_measured(start: Start) -> None:
    before = time.monotonic()
    with start("handlers.works") as function:
        assert 0 < function.ready_seconds < time.monotonic() - before
        cpu, memory = function.cpu_seconds, function.max_rss_bytes
        assert cpu > 0
        assert function.invoke({"seconds": 0.3, "bytes": 50_000_000}) == 50_000_000
        assert 0.3 <= function.cpu_seconds - cpu < 0.6
        assert 45_000_000 < function.max_rss_bytes - memory < 60_000_000


def test_what_the_handler_raises_is_the_answer_and_the_function_goes_on(start: Start) -> None:
    with start("handlers.raises") as function:
        with pytest.raises(FunctionError) as raised:
            function.invoke({"fine": False})
        assert (raised.value.error_type, raised.value.error_message) == ("LookupError", "there is no such thing")
        assert "[ERROR] LookupError: there is no such thing" in function.log()
        assert function.invoke({"fine": True}) == "fine"


def test_an_answer_that_is_no_json_is_the_functions_error(start: Start) -> None:
    with (
        start("handlers.answers_with_what_is_no_json") as function,
        pytest.raises(FunctionError, match=r"^Runtime\.MarshalError: Unable to marshal response"),
    ):
        function.invoke({})


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        ("needy.handler", "Runtime.ImportModuleError: Unable to import module 'needy': No module named 'not_in_any_la"),
        ("broken.handler", "RuntimeError: nothing is ready"),
        ("handlers.missing", "Runtime.HandlerNotFound: Handler 'missing' missing on module 'handlers'"),
    ],
)
def test_a_handler_that_cannot_be_imported_is_an_init_error(start: Start, handler: str, error: str) -> None:
    with pytest.raises(InitError) as raised, start(handler):
        pass
    assert str(raised.value).startswith(error)


def test_a_process_that_ends_is_an_error_with_its_last_words(start: Start) -> None:
    with start("handlers.dies") as function:
        with pytest.raises(RuntimeApiError, match=r"ended with 3; see its log:\n  last words"):
            function.invoke({})
        with pytest.raises(RuntimeApiError, match="ended with 3"):
            function.invoke({})
        for measure in ("cpu_seconds", "max_rss_bytes"):
            with pytest.raises(RuntimeApiError, match="ended with 3"):
                getattr(function, measure)


def test_a_function_whose_time_runs_out_is_ended(start: Start) -> None:
    with start("handlers.takes_too_long", timeout_seconds=2) as function:
        with pytest.raises(RuntimeApiError, match=r"the function's time of 2 seconds ran out"):
            function.invoke({})
        with pytest.raises(RuntimeApiError, match="ended with -9"):
            function.invoke({})


def test_a_runtime_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeApiError, match="No module named awslambdaric"), running("any.handler", {}, [tmp_path]):
        pass


def test_the_processor_without_its_layer_says_what_is_missing(runtime: Path, tmp_path: Path) -> None:
    code = unpack("processor", tmp_path / "task")
    handler = "functions.processor.handler.lambda_handler"
    with pytest.raises(InitError) as raised, running(handler, {}, [code, runtime]):
        pass
    missing = [f"No module named '{name}'" for name in ("polars", "msgspec", "aws_lambda_powertools")]
    assert raised.value.error_type == "Runtime.ImportModuleError"
    assert raised.value.error_message.removeprefix("Unable to import module 'functions.processor.handler': ") in missing
