"""What Lambda gives an invocation, and what a process keeps between two of them."""

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Self
from unittest import mock

from functions.aws import clients, clock, config, table


def context(remaining_ms: Callable[[], int] = lambda: 120_000) -> Any:
    """An invocation's context, with so much time left."""
    return SimpleNamespace(
        get_remaining_time_in_millis=remaining_ms,
        function_name="processor",
        memory_limit_in_mb=1024,
        invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:processor",
        aws_request_id="request",
    )


@contextmanager
def process(environment: Mapping[str, str], make: Callable[..., Any], now_ms: Callable[[], int]) -> Iterator[None]:
    """The functions in this process as in one of their own: with this environment, its clients made by `make`, at a
    clock that is asked, and without ever sleeping."""
    with (
        mock.patch.dict(os.environ, environment),
        mock.patch.object(clients, "make", make),
        mock.patch.object(clock, "now_ms", now_ms),
        mock.patch("time.sleep", lambda _: None),
        nothing_kept(),
    ):
        yield


@contextmanager
def nothing_kept() -> Iterator[None]:
    """A process of its own: no clients, configuration and states of before within, nor of within afterwards."""
    caches = (clients._client, clients._session, config.config)
    for cache in caches:
        cache.cache_clear()
    try:
        with mock.patch.object(table, "_remembered", table._Remembered()):
            yield
    finally:
        for cache in caches:
            cache.cache_clear()


class Inline:
    """Runs what would run side by side one after the other, so that calls have indexes."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """As any pool is made."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to wait for."""

    @staticmethod
    def map(call: Any, arguments: Any) -> list[Any]:
        return [call(each) for each in arguments]

    @staticmethod
    def submit(call: Any, argument: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        done.set_result(call(argument))
        return done
