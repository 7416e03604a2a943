"""The fast codec against botocore's own: the same requests, answers and errors; and what botocore keeps doing."""

import json
import threading
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from botocore.session import Session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.aws import clients
from functions.aws import codec as codec_module
from tests.helpers.deployment import ENVIRONMENT
from tests.helpers.logs import Logs
from tests.helpers.over_http import ONCE, response, to_json

MAKERS: dict[str, Callable[[str, Config], Any]] = {
    "fast": lambda service, config: codec_module.fast(codec_module.session(), service, config),
    "standard": lambda service, config: codec_module.session(cheap=False).create_client(service, config=config),
}
READ = {"RequestItems": {"metrics": {"Keys": [{"entity_id": {"S": "stu_1"}}], "ConsistentRead": True}}}
WRITE = {"Statements": [{"Statement": 'UPDATE "metrics" SET "facts" = ?', "Parameters": [{"B": b"\x00\xff"}]}]}
SCAN = {
    "TableName": "metrics",
    "Segment": 0,
    "TotalSegments": 8,
    "ProjectionExpression": "#facts, first_session.#time",
    "ExpressionAttributeNames": {"#facts": "facts", "#time": "time"},
    "ExclusiveStartKey": {"entity_id": {"S": "stu_1"}},
}
CALLS: dict[str, dict[str, Any]] = {"batch_get_item": READ, "batch_execute_statement": WRITE, "scan": SCAN}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


class Exchange:
    """A client that is given its answers; keeps the requests it sends."""

    def __init__(self, codec: str, config: Config = ONCE) -> None:
        self.client = MAKERS[codec]("dynamodb", config)
        self.answer: Any = {}
        self.status = 200
        self.requests: list[Any] = []
        self.client.meta.events.register_first("before-send", self._respond)

    def _respond(self, request: Any, **_: Any) -> Any:
        self.requests.append(request)
        return response(self.answer, self.status)

    def outcome(self, operation: str, parameters: dict[str, Any], answer: Any, status: int = 200) -> Any:
        """What the call returns, or what it raises as it would be told."""
        self.answer, self.status = answer, status
        try:
            return getattr(self.client, operation)(**parameters)
        except ClientError as error:
            return type(error).__name__, str(error), error.response

    def sent(self) -> tuple[Any, ...]:
        """The last request but for what time, chance and its own bytes make different."""
        request = self.requests[-1]
        kept = {name: value for name, value in request.headers.items() if name in ("X-Amz-Target", "Content-Type")}
        assert len(kept) == 2
        assert int(request.headers["Content-Length"]) == len(request.body)
        return request.method, request.url, kept, json.loads(request.body)


@pytest.fixture
def both() -> tuple[Exchange, Exchange]:
    return Exchange("fast"), Exchange("standard")


# -- the same as botocore ---------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
binaries = st.binary(max_size=40)
leaves = st.one_of(
    st.builds(lambda value: {"S": value}, texts),
    st.builds(lambda value: {"N": value}, st.sampled_from(["0", "-1.5", "1E+2", "123456789012345678901234567890"])),
    st.builds(lambda value: {"B": value}, binaries),
    st.builds(lambda value: {"BOOL": value}, st.booleans()),
    st.just({"NULL": True}),
    st.builds(lambda value: {"SS": value}, st.lists(texts, max_size=3)),
    st.builds(lambda value: {"NS": value}, st.lists(st.just("7"), max_size=3)),
    st.builds(lambda value: {"BS": value}, st.lists(binaries, max_size=3)),
)
names = st.one_of(texts, st.sampled_from(["B", "BS", "M", "S", "Error"]))
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda value: {"M": value}, st.dictionaries(names, inner, max_size=3)),
        st.builds(lambda value: {"L": value}, st.lists(inner, max_size=3)),
    ),
    max_leaves=8,
)
items = st.dictionaries(names, values, max_size=4)
tables = st.sampled_from(["metrics", "arn:aws:dynamodb:us-east-1:123456789012:table/metrics"])

reads = st.fixed_dictionaries(
    {
        "RequestItems": st.dictionaries(
            tables,
            st.fixed_dictionaries({"Keys": st.lists(items, min_size=1, max_size=3), "ConsistentRead": st.booleans()}),
            min_size=1,
        )
    }
)
read_answers = st.fixed_dictionaries(
    {"Responses": st.dictionaries(texts, st.lists(items, max_size=3), max_size=2)},
    optional={
        "UnprocessedKeys": st.dictionaries(
            texts, st.fixed_dictionaries({"Keys": st.lists(items, max_size=2), "ConsistentRead": st.booleans()})
        )
    },
)
writes = st.fixed_dictionaries(
    {
        "Statements": st.lists(
            st.fixed_dictionaries({"Statement": st.just("UPDATE"), "Parameters": st.lists(values, min_size=1)}),
            min_size=1,
            max_size=3,
        )
    }
)
problems = st.fixed_dictionaries({"Code": st.just("DuplicateItem"), "Message": texts}, optional={"Item": items})
write_answers = st.fixed_dictionaries(
    {
        "Responses": st.lists(
            st.fixed_dictionaries({}, optional={"TableName": texts, "Item": items, "Error": problems}), max_size=3
        )
    }
)
scans = st.fixed_dictionaries(
    {
        "TableName": tables,
        "Segment": st.integers(0, 7),
        "TotalSegments": st.just(8),
        "ProjectionExpression": st.just("#facts"),
        "ExpressionAttributeNames": st.just({"#facts": "facts"}),
    },
    optional={"ExclusiveStartKey": items},
)
scan_answers = st.fixed_dictionaries({"Items": st.lists(items, max_size=3)}, optional={"LastEvaluatedKey": items})
calls = st.one_of(
    st.tuples(st.just("batch_get_item"), reads, read_answers),
    st.tuples(st.just("batch_execute_statement"), writes, write_answers),
    st.tuples(st.just("scan"), scans, scan_answers),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(call=calls)
def test_requests_and_answers_are_botocores(both: tuple[Exchange, Exchange], call: tuple[str, Any, Any]) -> None:
    operation, parameters, answer = call
    fast, standard = (each.outcome(operation, parameters, to_json(answer)) for each in both)
    assert both[0].sent() == both[1].sent()
    assert fast == standard
    del fast["ResponseMetadata"]
    assert fast == answer


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        ("batch_get_item", {"Responses": {"metrics": [{"entity_id": {"S": "stu_1"}}]}}),
        ("batch_get_item", {"UnprocessedKeys": {"metrics": {"Keys": [{}]}}}),
        ("batch_execute_statement", {"ConsumedCapacity": []}),
        ("batch_execute_statement", {"Responses": [{}, {"Error": {"Code": "DuplicateItem"}}]}),
        ("scan", {"Items": []}),
        ("scan", {"Count": 0}),
    ],
    ids=str,
)
def test_of_an_answer_that_lacks_something_nothing_is_left_for_botocore_to_parse(
    operation: str, answer: dict[str, Any]
) -> None:
    exchange, left = Exchange("fast"), []
    exchange.client.meta.events.register_last(
        "before-parse.dynamodb", lambda response_dict, **_: left.append(response_dict["body"])
    )
    exchange.outcome(operation, CALLS[operation], answer)
    assert left == [b"{}"]


def test_a_session_is_of_the_region_that_is_named_or_else_of_the_environments() -> None:
    assert codec_module.session("eu-central-1").get_config_variable("region") == "eu-central-1"
    assert codec_module.session().get_config_variable("region") == ENVIRONMENT["AWS_DEFAULT_REGION"]


def test_a_session_looks_for_services_only_where_it_is_not_cheap() -> None:
    assert "dynamodb" in codec_module.session().get_available_services()
    assert "ec2" not in codec_module.session().get_available_services()
    assert "ec2" in codec_module.session(cheap=False).get_available_services()


@pytest.mark.parametrize(
    "variables",
    [
        {"AWS_DEFAULT_REGION": "cn-north-1"},
        {"AWS_USE_FIPS_ENDPOINT": "true"},
        {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
        {"AWS_ACCOUNT_ID": "123456789012"},
        {"AWS_ACCOUNT_ID": "123456789012", "AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled"},
        {"AWS_ENDPOINT_URL_DYNAMODB": "http://localhost:4566"},
    ],
    ids=lambda variables: "-".join(variables),
)
@pytest.mark.parametrize("operation", CALLS)
def test_endpoints_are_botocores(operation: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    both = Exchange("fast"), Exchange("standard")
    for each in both:
        each.outcome(operation, CALLS[operation], {})
    assert both[0].sent() == both[1].sent()
    assert both[0].requests[-1].url.startswith("http")


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (400, {"__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException", "message": "Slow"}),
        (400, {"__type": "com.amazon.coral.validate#ValidationException", "message": "Unknown attribute"}),
        (400, {"__type": "com.amazon.coral.service#AccessDeniedException", "Message": "Not allowed"}),
        (400, {"__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", "message": "No table"}),
        (500, {"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError", "message": ""}),
        (503, b"<html><body>Service Unavailable</body></html>"),
        (502, b""),
        (200, b"<html>"),
        (200, b""),
        (200, {"Responses": {"metrics": [{"facts": {"B": None}}]}}),
    ],
    ids=str,
)
def test_errors_and_what_is_no_answer_are_botocores(
    both: tuple[Exchange, Exchange], operation: str, status: int, answer: Any
) -> None:
    if isinstance(answer, dict) and "Responses" in answer:
        item = answer["Responses"]["metrics"][0]
        answer = {
            "batch_get_item": answer,
            "batch_execute_statement": {"Responses": [{"Item": item}]},
            "scan": {"Items": [item]},
        }[operation]
    fast, standard = (each.outcome(operation, CALLS[operation], answer, status) for each in both)
    assert fast == standard
    if status >= 400:
        assert fast[0] in ("ClientError", fast[2]["Error"]["Code"])


def test_what_msgspec_does_not_take_is_left_to_botocore(both: tuple[Exchange, Exchange]) -> None:
    half = {"RequestItems": {"metrics": {"Keys": [{"entity_id": {"S": "\ud83d"}}]}}}
    for each in both:
        each.outcome("batch_get_item", half, {"Responses": {}})
    assert both[0].sent() == both[1].sent()
    assert json.loads(both[0].requests[-1].body) == half


@pytest.mark.parametrize("service", codec_module._SERVICES)
def test_models_and_endpoint_rules_are_botocores(service: str) -> None:
    ours, theirs = codec_module.session(), Session()
    assert ours.get_service_data(service) == theirs.get_service_data(service)
    for name in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
        assert ours.get_data(name) == theirs.get_data(name)
    rules = [
        each.get_component("data_loader").load_service_model(service, "endpoint-rule-set-1") for each in (ours, theirs)
    ]
    assert rules[0] == rules[1]


def test_other_operations_of_the_client_are_untouched() -> None:
    fast, standard = Exchange("fast"), Exchange("standard")
    query = {
        "TableName": "metrics",
        "KeyConditionExpression": "a = :a",
        "ExpressionAttributeValues": {":a": {"B": b"1"}},
    }
    answer = {"Items": [{"facts": {"B": "AP8="}}], "Count": 1}
    assert fast.outcome("query", query, answer) == standard.outcome("query", query, answer)
    assert fast.sent() == standard.sent()


# -- what botocore keeps doing ----------------------------------------------------------------------------------------


Turn = tuple[int, bytes, dict[str, str]]
"""Status, body and further headers."""


class Server:
    """An HTTP server on loopback that answers by turns: a status with a body, nothing for a while, or a closed door."""

    def __init__(self) -> None:
        self.turns: list[Turn | float | None] = []
        self.requests: list[dict[str, str]] = []
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                outer.requests.append(dict(self.headers.items()))
                turn = outer.turns.pop(0)
                if isinstance(turn, float):
                    outer.released.wait(turn)
                if not isinstance(turn, tuple):
                    self.close_connection = True
                    return
                status, body, headers = turn
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server()
    monkeypatch.setenv("AWS_ENDPOINT_URL", made.url)
    monkeypatch.setattr("time.sleep", lambda _: None)
    yield made
    made.close()


@pytest.fixture(params=MAKERS)
def dynamodb(request: pytest.FixtureRequest, server: Server) -> Iterator[Any]:
    made = MAKERS[request.param](
        "dynamodb",
        Config(connect_timeout=1, read_timeout=0.3, retries={"mode": "standard", "total_max_attempts": 4}),
    )
    yield made
    made.close()


BODY = b'{"Responses":{"metrics":[{"facts":{"B":"AP8="}}]},"UnprocessedKeys":{}}'
GOOD = (200, BODY, {"x-amz-crc32": str(zlib.crc32(BODY))})
TORN = (200, BODY[:-1] + b" ", {"x-amz-crc32": str(zlib.crc32(BODY))})
THROTTLED: Turn = (400, b'{"__type":"x#ProvisionedThroughputExceededException","message":"Slow down"}', {})
BROKEN: Turn = (500, b"", {})


@pytest.mark.parametrize(
    "turn", [BROKEN, THROTTLED, TORN, None, 1.0], ids=["500", "throttled", "crc", "closed", "slow"]
)
def test_a_call_is_tried_again_as_botocore_does(dynamodb: Any, server: Server, turn: Any) -> None:
    server.turns = [turn, turn, GOOD]
    answer = dynamodb.batch_get_item(**READ)
    assert answer["Responses"] == {"metrics": [{"facts": {"B": b"\x00\xff"}}]}
    assert answer["ResponseMetadata"]["RetryAttempts"] == 2
    assert len(server.requests) == 3
    assert len({each["amz-sdk-invocation-id"] for each in server.requests}) == 1
    attempts = [set(each["amz-sdk-request"].split("; ")) for each in server.requests]
    assert all(f"attempt={number}" in attempt for number, attempt in enumerate(attempts, 1))


@pytest.mark.parametrize(
    ("turn", "raised"), [(THROTTLED, ClientError), (None, ConnectionClosedError), (0.5, ReadTimeoutError)]
)
def test_it_is_given_up_as_botocore_does(dynamodb: Any, server: Server, turn: Any, raised: type[Exception]) -> None:
    server.turns = [turn] * 9
    with pytest.raises(raised):
        dynamodb.batch_execute_statement(**WRITE)
    assert len(server.requests) == 4


def test_what_is_invalid_is_not_tried_again(dynamodb: Any, server: Server) -> None:
    server.turns = [(400, b'{"__type":"x#ValidationException","message":"No"}', {})]
    with pytest.raises(dynamodb.exceptions.ClientError, match="ValidationException"):
        dynamodb.batch_execute_statement(**WRITE)


@pytest.mark.parametrize("codec", MAKERS)
def test_credentials_are_refreshed(codec: str, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    soon = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    fields = f'"Version": 1, "SecretAccessKey": "s", "SessionToken": "t", "Expiration": "{soon}"'
    script = tmp_path / "credentials.sh"
    script.write_text(
        f"echo x >> {tmp_path}/count\n"
        f"n=$(wc -l < {tmp_path}/count | tr -d ' ')\n"
        f'printf \'{{{fields}, "AccessKeyId": "KEY%s"}}\' $n\n'
    )
    (tmp_path / "config").write_text(f"[default]\ncredential_process = sh {script}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    made = MAKERS[codec]("dynamodb", Config(retries={"total_max_attempts": 1}))
    server.turns = [GOOD, GOOD]
    for _ in server.turns[:]:
        made.batch_get_item(**READ)
    made.close()
    keys = [each["Authorization"].partition("Credential=")[2].partition("/")[0] for each in server.requests]
    assert len(set(keys)) == 2, keys
    assert {each["X-Amz-Security-Token"] for each in server.requests} == {"t"}


# -- the codec is not used where it doesn't work -----------------------------------------------------------------------


def dropped(*_: Any, **__: Any) -> None:
    """A handler that this botocore doesn't call."""


def emptied(response_dict: dict[str, Any], **_: Any) -> None:
    """What a handler does whose answer this botocore doesn't take."""
    response_dict["body"] = b"{}"


def changed(**_: Any) -> None:
    raise TypeError("unexpected keyword argument 'config'")


@pytest.fixture
def making() -> Iterator[None]:
    clients._session.cache_clear()
    yield
    clients._session.cache_clear()


@pytest.mark.parametrize(
    ("handler", "stand_in", "said"),
    [("_put_body", dropped, "sent"), ("_decode", emptied, "gave {}"), ("_encode", changed, "unexpected keyword")],
)
@pytest.mark.usefixtures("making")
def test_with_a_botocore_that_is_not_as_expected_the_standard_client_is_used_and_it_is_said_once(
    handler: str, stand_in: Any, said: str, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    monkeypatch.setattr(codec_module, handler, stand_in)
    made = clients.make("dynamodb", ONCE)
    made.meta.events.register_first("before-send", lambda **_: response(BODY))
    assert made.batch_get_item(**READ)["Responses"] == {"metrics": [{"facts": {"B": b"\x00\xff"}}]}
    (line,) = (line for line in logs.lines() if line["level"] == "WARNING")
    assert line["message"] == "The fast AWS codec is not used"
    assert said in line["reason"]
    assert "botocore 1." in line["reason"]


@pytest.mark.usefixtures("making")
def test_without_before_parse_botocore_parses_and_the_codec_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec_module, "_decode", dropped)
    made = Exchange("fast")
    assert made.outcome("batch_get_item", READ, BODY)["Responses"] == {"metrics": [{"facts": {"B": b"\x00\xff"}}]}


@pytest.mark.usefixtures("making")
def test_the_environment_can_ask_for_the_standard_client(monkeypatch: pytest.MonkeyPatch, logs: Logs) -> None:
    agents = []
    for codec in ("fast", "standard"):
        monkeypatch.setenv("AWS_CLIENT_CODEC", codec)
        made = clients.make("dynamodb", ONCE)
        agents.append(made.meta.config.user_agent)
    assert "md/iops-dashboard" in agents[0]
    assert "md/iops-dashboard" not in agents[1]
    assert logs.lines() == []
