"""A stand-in for AWS's HTTP endpoints that answers at once: so that what is measured is the caller, not an emulator.

One process, one thread, items in memory. It knows the calls that the handlers make, with DynamoDB's conditions, and
refuses every other. It counts calls, bytes and request units (`bench.store`). `Endpoint` starts it and speaks with it;
`python -m bench.endpoint` is the process.
"""

import asyncio
import gc
import http.client
import json
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import unquote

import msgspec

from bench import ROOT
from bench.store import Cancelled, Item, Store, Usage
from bench.units import Attributes

_CONTROL: Final = "/_bench/"


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive: one request after the other."""

    def __init__(self, store: Store, decoder: msgspec.json.Decoder[Any], encoder: msgspec.json.Encoder) -> None:
        self._store, self._decoder, self._encoder = store, decoder, encoder
        self._received = bytearray()
        self._continued = False
        self._operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "BatchGetItem": store.batch_get_item,
            "BatchExecuteStatement": store.batch_execute_statement,
            "BatchWriteItem": store.batch_write_item,
            "TransactWriteItems": store.transact_write_items,
            "Query": store.query,
            "GetItem": store.get_item,
            "PutItem": store.put_item,
            "PutEvents": store.put_events,
            "DescribeTable": store.describe_table,
            "Scan": store.scan,
        }
        self._controls: dict[str, Callable[[bytes], Any]] = {
            name: getattr(store, name)
            for name in ("load", "pages", "keep", "restore", "reset", "wait", "record", "used", "items_of")
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP has no other
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            line, *lines = self._received[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
            if "100-continue" in headers.get("expect", "") and not self._continued:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                self._continued = True
            length = end + 4 + int(headers.get("content-length", "0"))
            if len(self._received) < length:
                return
            body = bytes(self._received[end + 4 : length])
            del self._received[:length]
            self._continued = False
            self._take(line, headers, body, length)

    def _take(self, line: str, headers: Mapping[str, str], body: bytes, length: int) -> None:
        method, path, _ = line.split(" ")
        if path.startswith(_CONTROL):
            answer = self._controls[path.removeprefix(_CONTROL)](body)
            self._transport.write(_response(200, self._encoder.encode(answer)))
            return
        usage, target = self._store.usage, headers.get("x-amz-target", "").rpartition(".")[2]
        operation = target or {"PUT": "PutObject"}.get(method, method)
        try:
            if operation == "PutObject":
                answer = b""
            else:
                answer = self._encoder.encode(self._operations[operation](self._decoder.decode(body)))
            response = _response(200, answer, headers.get("content-type", "application/xml"))
        except Cancelled as error:
            answer = json.dumps(error.answer).encode()
            response = _response(400, answer)
        except (KeyError, ValueError) as error:
            answer = json.dumps({"__type": "ValidationException", "message": f"{operation}: {error!r}"}).encode()
            response = _response(400, answer)
        usage.calls[operation] = usage.calls.get(operation, 0) + 1
        usage.bytes_received += length
        usage.bytes_sent += len(response)
        usage.body_bytes += len(body) + len(answer)
        if self._store.recorded is not None:
            self._store.recorded.append((operation, unquote(path), body.decode()))
        if self._store.delay:
            asyncio.get_running_loop().call_later(self._store.delay, self._transport.write, response)
        else:
            self._transport.write(response)


def _response(status: int, body: bytes, content_type: str = "application/json") -> bytes:
    head = (
        f"HTTP/1.1 {status} {'OK' if status == 200 else 'Bad Request'}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\nConnection: keep-alive\r\n"
        f"x-amzn-RequestId: 0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEF\r\n"
        f"x-amz-crc32: {zlib.crc32(body)}\r\nServer: Server\r\nDate: Mon, 23 Nov 2026 10:00:00 GMT\r\n\r\n"
    )
    return head.encode() + body


async def _serve() -> None:
    gc.disable()  # nothing here is cyclic, and a pass over all items would be seen in callers' times
    store, decoder, encoder = Store(), msgspec.json.Decoder(), msgspec.json.Encoder()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(store, decoder, encoder), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until whoever started it lets go
    server.close()


class Endpoint:
    """The endpoint as a process of its own; ends with the `with` block."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.endpoint"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        self.port = int(self._process.stdout.readline())
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port)

    @property
    def url(self) -> str:
        """For `AWS_ENDPOINT_URL`."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._process.communicate()

    def _ask(self, what: str, body: bytes = b"") -> Any:
        self._connection.request("POST", _CONTROL + what, body)
        return msgspec.json.decode(self._connection.getresponse().read())

    def load(self, table: str, items: Iterable[Attributes]) -> None:
        """Puts items into a table at no cost."""
        self._ask("load", msgspec.json.encode({"table": table, "items": list(items)}))

    def pages(self, directory: Path, items: int, size: int) -> None:
        """Makes Scan answer with these pages, each a file with a list of items; so many items and bytes in all."""
        described = {"ItemCount": items, "TableSizeBytes": size}
        self._ask("pages", msgspec.json.encode({"directory": str(directory), "described": described}))

    def keep(self) -> None:
        """Remembers the items as they are now, for `restore`."""
        self._ask("keep")

    def restore(self, *tables: str) -> None:
        """Makes these tables' items what they were when last kept."""
        self._ask("restore", json.dumps(tables).encode())

    def reset(self) -> None:
        """Counts from zero."""
        self._ask("reset")

    def wait(self, seconds: float) -> None:
        """Makes each call wait so long before it is answered."""
        self._ask("wait", str(seconds).encode())

    def record(self) -> None:
        """Begins to record calls."""
        self._ask("record", b"1")

    def recorded(self) -> list[tuple[str, str, str]]:
        """Ends recording; operation, path and body of each call in their order."""
        calls: list[tuple[str, str, str]] = self._ask("record", b"0")
        return calls

    def used(self) -> Usage:
        """The usage since the last reset."""
        return Usage(**self._ask("used"))

    def items_of(self, table: str) -> list[Item]:
        """A table's items."""
        items: list[Item] = self._ask("items_of", table.encode())
        return items


if __name__ == "__main__":
    asyncio.run(_serve())
