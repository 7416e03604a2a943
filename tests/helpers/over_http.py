"""Real AWS clients whose requests are answered in this process: what they send and get are the bytes of AWS's protocol.

For the JSON operations of the processor, one call each. Bodies are read and written here by the standard library
alone.
"""

import base64
import json
import zlib
from functools import cache
from types import SimpleNamespace
from typing import Any

from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from functions.aws import clients

ONCE = Config(retries={"total_max_attempts": 1})

_make = clients.make
"""The real one, whatever a test puts in its place."""


class OverHttp:
    """Stands where `clients.make` does, and gives clients as that makes them, with `aws` (such as `Faults`) behind.

    botocore's own retries are off unless `config` has others, so that each call is one request. Clients are used again
    by later tests.
    """

    def __init__(self, aws: Any, codec: str, config: Config = ONCE) -> None:
        self._aws, self._codec, self._config = aws, codec, config

    def client(self, service: str, **_: Any) -> Any:
        made, far_end = _connected(self._codec, service, self._config)
        far_end.service = self._aws.client(service)
        return made


class _FarEnd:
    service: Any

    def respond(self, request: Any, **_: Any) -> AWSResponse:
        operation = xform_name(request.headers["X-Amz-Target"].decode().rpartition(".")[2])
        try:
            answer = getattr(self.service, operation)(**to_api(json.loads(request.body)))
        except ClientError as error:
            said: Any = error.response["Error"]
            body = {"__type": f"com.amazonaws#{said['Code']}", "message": said["Message"]}
            if reasons := error.response.get("CancellationReasons"):
                body["CancellationReasons"] = reasons
            return response(body, 500 if said["Code"] == "InternalServerError" else 400)
        return response(to_json(answer))


@cache
def _connected(codec: str, service: str, config: Config) -> tuple[Any, _FarEnd]:
    """A client of this codec, which AWS_CLIENT_CODEC names as well, and what answers it."""
    made, far_end = _make(service, config=config), _FarEnd()
    made.meta.events.register_first("before-send", far_end.respond)
    return made, far_end


def response(answer: Any, status: int = 200) -> AWSResponse:
    """An answer (plain JSON, or bytes as they are) as a service gives it, with DynamoDB's checksum."""
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    headers = {"x-amzn-RequestId": "REQUEST", "x-amz-crc32": str(zlib.crc32(body)), "Content-Length": str(len(body))}
    return AWSResponse("https://aws.example", status, headers, SimpleNamespace(stream=lambda: iter([body])))


def to_json(value: Any) -> Any:
    """Binary values as base64, at any depth."""
    if isinstance(value, dict):
        return {name: to_json(each) for name, each in value.items()}
    if isinstance(value, list):
        return [to_json(each) for each in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def to_api(value: Any) -> Any:
    """The inverse of `to_json`: what is named B or BS is binary."""
    if isinstance(value, dict):
        return {name: _binary(each) if name in ("B", "BS") else to_api(each) for name, each in value.items()}
    return [to_api(each) for each in value] if isinstance(value, list) else value


def _binary(value: Any) -> Any:
    if isinstance(value, list):
        return [_binary(each) for each in value]
    return base64.b64decode(value, validate=True) if isinstance(value, str) else to_api(value)
