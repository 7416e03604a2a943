"""AWS clients, made once and lazily, each with its own timeouts and retries.

A call is tried at most four times, with at most six seconds for each try, so that it ends within the time that the
deadline reserves.
"""

import os
import threading
from functools import cache
from typing import Any, Final

from botocore.config import Config
from botocore.session import Session

from functions.aws import codec
from functions.aws.observability import logger
from functions.aws.parallel import PARALLEL_CALLS

_CONFIG: Final = Config(
    connect_timeout=1,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 4},
    max_pool_connections=PARALLEL_CALLS,
    tcp_keepalive=True,
)


_lock = threading.Lock()
_session_settings: dict[str, str | None] = {}


def client(service: str) -> Any:
    """Return the process's client of an AWS service."""
    with _lock:  # threads may share clients, but must not make them at the same time (Boto3 guide, "Clients")
        return _client(service)


@cache
def _client(service: str) -> Any:
    return make(service, config=_CONFIG)


def make(service: str, config: Config) -> Any:
    """Make a new client. Tests replace this function to put their own AWS in its place.

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
    return codec.session(**_session_settings, cheap=cheap)


def use(region: str | None, profile: str | None) -> None:
    """From now on, make clients for this region and profile, where given, instead of the environment's."""
    _session_settings.update(region=region, profile=profile)
    _session.cache_clear()
    _client.cache_clear()
