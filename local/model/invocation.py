"""What Lambda gives an invocation, and what a process keeps between two of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from functions.processor import clients, config


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
def nothing_kept() -> Iterator[None]:
    """A process of its own: neither clients nor configuration of before within, nor of within afterwards."""
    caches = (clients._client, clients._session, config.config)
    for cache in caches:
        cache.cache_clear()
    try:
        yield
    finally:
        for cache in caches:
            cache.cache_clear()
