"""AWS clients, made once and lazily, with timeouts and retries of their own; and what they have in common.

A call is tried four times with at most six seconds each, so that it ends before the deadline's reserve is used up.
"""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import Any, Final, TypeVar

from botocore.config import Config
from botocore.session import Session

from functions.aws import codec
from functions.aws.deadline import Deadline
from functions.aws.observability import logger

PARALLEL_CALLS: Final = 8

A = TypeVar("A")
R = TypeVar("R")

_CONFIG: Final = Config(
    connect_timeout=1,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 4},
    max_pool_connections=PARALLEL_CALLS,
    tcp_keepalive=True,
)


_making = threading.Lock()
_where: dict[str, str | None] = {}


def client(service: str) -> Any:
    """The process's client of an AWS service."""
    with _making:  # clients may be shared by threads, but not made by several at once (Boto3 guide, "Clients")
        return _client(service)


@cache
def _client(service: str) -> Any:
    return make(service, config=_CONFIG)


def make(service: str, config: Config) -> Any:
    """A new client; tests put their own AWS in this function's place.

    AWS_CLIENT_CODEC=standard in the environment leaves all of it to botocore.
    """
    if os.environ.get("AWS_CLIENT_CODEC") != "standard":
        try:
            return codec.fast(_session(cheap=True), service, config)
        except codec.WireError as error:
            logger.warning("The fast AWS codec is not used", service_name=service, reason=str(error))
    return _session(cheap=False).create_client(service, config=config)


@cache
def _session(*, cheap: bool) -> Session:
    return codec.session(**_where, cheap=cheap)


def use(region: str | None, profile: str | None) -> None:
    """Makes clients from now on in this region and with this profile, where given, instead of the environment's."""
    _where.update(region=region, profile=profile)
    _session.cache_clear()
    _client.cache_clear()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(PARALLEL_CALLS, thread_name_prefix="aws")


def in_parallel(call: Callable[[A], R], arguments: Sequence[A]) -> list[R]:
    """`call` for each argument, side by side; results in the arguments' order. A single call needs no thread.

    When one raises, so does this, once all are done: nothing goes on behind the back of who has given up.
    """
    if len(arguments) <= 1:
        return [call(each) for each in arguments]
    running = [_pool().submit(call, each) for each in arguments]
    wait(running)
    return [each.result() for each in running]


def chunks(items: Sequence[A], size: int) -> list[Sequence[A]]:
    """The items in order, in parts of at most `size`."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def attempts(most: int, deadline: Deadline) -> Iterator[int]:
    """Counts attempts from 0 while there is time to begin one, backing off before each but the first."""
    for attempt in range(most):
        if deadline.passed():
            return
        if attempt:
            back_off(attempt)
        yield attempt


def back_off(attempt: int) -> None:
    """Sleeps before the next attempt: up to 50 ms doubled each time, at most 2 s, with full jitter
    (AWS Architecture Blog, "Exponential Backoff And Jitter")."""
    time.sleep(random.uniform(0, min(2.0, 0.05 * 2**attempt)))  # noqa: S311 - jitter
