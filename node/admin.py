"""What the command line asks a running node, over a 0600 unix socket in its data directory.

    request   one JSON line {"call": name, "args": {...}}
    answer    one JSON line {"ok": true, "result": ...} or {"ok": false, "error": "one sentence"}

Who may open the socket owns the node's files already, so no credentials are asked. The calls
themselves are handed in by the house; a call says AdminRefused for what an operator can mend.
"""

import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import trio

from node.rpc.errors import MALFORMED

REQUEST_BYTES_MAX: Final = 64 * 1024
ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
CONNECTIONS_MAX: Final = 32
REQUEST_TIMEOUT_S: Final = 10.0
SOCKET_NAME: Final = "admin.sock"

Call = Callable[[Mapping[str, Any]], Awaitable[Any]]


class AdminRefused(Exception):
    """The answer is no; the text is one sentence with the mend."""


def unavailable(error: Exception) -> str:
    """What AdminRefused says while there is no majority, or too much is waiting."""
    return f"the cluster cannot answer now ({error}): see trireme status, then try again."


def text_of(args: Mapping[str, Any], key: str) -> str:
    """An argument that must be a text; raises AdminRefused."""
    value = args.get(key)
    if not isinstance(value, str) or not value:
        raise AdminRefused(f"the call lacks a text '{key}': give one.")
    return value


def choice_of(args: Mapping[str, Any], key: str) -> bool | None:
    """An argument that is yes or no, None when it is not there; raises AdminRefused."""
    value = args.get(key)
    if value is not None and not isinstance(value, bool):
        raise AdminRefused(f"the call's '{key}' is neither true nor false: give one of both.")
    return value


def texts_of(args: Mapping[str, Any], key: str) -> list[str]:
    """An argument that must be a list of texts, empty when it is not there; raises AdminRefused."""
    value = args.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise AdminRefused(f"the call's '{key}' is no list of texts: give one.")
    return value


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """What is asked for."""

    call: str
    args: dict[str, Any] = {}


class Answer(msgspec.Struct):
    """A result, or one sentence on why there is none."""

    ok: bool
    result: Any = None
    error: str = ""


@contextmanager
def _short_path(path: Path) -> Iterator[str]:
    """A name for `path` that fits the 107 bytes of a unix socket address, however deep it lies."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def open_socket(directory: Path) -> trio.SocketListener:
    """Listen at `directory`/admin.sock, for the owner alone; an old socket there is replaced."""
    path = directory / SOCKET_NAME
    path.unlink(missing_ok=True)
    sock = trio.socket.from_stdlib_socket(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    before = os.umask(0o177)
    try:
        with _short_path(path) as name:
            sock._sock.bind(name)  # type: ignore[attr-defined]
    finally:
        os.umask(before)
    sock.listen(CONNECTIONS_MAX)
    return trio.SocketListener(sock)


class AdminDoor:
    """Answers calls on the socket, one to a connection."""

    def __init__(self, calls: Mapping[str, Call]) -> None:
        self._calls = dict(calls)
        self._limit = trio.CapacityLimiter(CONNECTIONS_MAX)

    def know(self, calls: Mapping[str, Call]) -> None:
        """Answer these calls too."""
        self._calls |= calls

    async def serve(self, listener: trio.abc.Listener[trio.abc.Stream]) -> None:
        """Accept until cancelled."""
        await trio.serve_listeners(self._one, [listener])

    async def _one(self, stream: trio.abc.Stream) -> None:
        async with stream, self._limit:
            with trio.move_on_after(REQUEST_TIMEOUT_S):
                try:
                    line = await _read_line(stream, REQUEST_BYTES_MAX)
                    answer = await self.answer(line)
                    await stream.send_all(msgspec.json.encode(answer) + b"\n")
                except trio.BrokenResourceError:
                    return  # the asker went away; nobody is left to tell

    async def answer(self, line: bytes) -> Answer:
        """The answer to one request line."""
        try:
            request = msgspec.json.decode(line, type=Request)
        except MALFORMED as error:
            return Answer(ok=False, error=f"not a request: {error}.")
        call = self._calls.get(request.call)
        if call is None:
            return Answer(
                ok=False, error=f"this node knows no call '{request.call}': is it older than you?"
            )
        try:
            return Answer(ok=True, result=await call(request.args))
        except AdminRefused as refusal:
            return Answer(ok=False, error=str(refusal))


async def _read_line(stream: trio.abc.ReceiveStream, limit: int) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        chunk = await stream.receive_some(65536)
        if not chunk or len(received) + len(chunk) > limit:
            break
        received += chunk
    return bytes(received)


def ask(directory: Path, call: str, args: Mapping[str, Any], *, timeout_s: float) -> Any:
    """Ask the node whose data directory this is (blocking; for the command line).

    Raises OSError when no node answers there, AdminRefused when the answer is no.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout_s)
        with _short_path(directory / SOCKET_NAME) as name:
            sock.connect(name)
        sock.sendall(msgspec.json.encode(Request(call, dict(args))) + b"\n")
        received = bytearray()
        while not received.endswith(b"\n"):
            chunk = sock.recv(65536)
            if not chunk or len(received) > ANSWER_BYTES_MAX:
                raise OSError("the node closed the connection without an answer")
            received += chunk
    answer = msgspec.json.decode(bytes(received), type=Answer)
    if not answer.ok:
        raise AdminRefused(answer.error)
    return answer.result
