"""The command line asks a node over a socket that only its owner can open."""

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from node import admin


async def echo(args: Mapping[str, Any]) -> Any:
    return dict(args)


async def refuse(args: Mapping[str, Any]) -> Any:
    raise admin.AdminRefused("no such account: add it first.")


CALLS = {"echo": echo, "refuse": refuse}


async def ask(directory: Path, call: str, **args: Any) -> Any:
    return await trio.to_thread.run_sync(lambda: admin.ask(directory, call, args, timeout_s=5.0))


async def test_a_call_is_answered_and_a_refusal_is_one_sentence(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)  # deeper than a unix socket's address can be long
    deep.mkdir(parents=True)
    listener = admin.open_socket(deep)
    assert stat.S_IMODE((deep / admin.SOCKET_NAME).stat().st_mode) == 0o600
    async with trio.open_nursery() as nursery:
        nursery.start_soon(admin.AdminDoor(CALLS).serve, listener)
        assert await ask(deep, "echo", a=1) == {"a": 1}
        with pytest.raises(admin.AdminRefused, match="add it first"):
            await ask(deep, "refuse")
        with pytest.raises(admin.AdminRefused, match="is it older than you"):
            await ask(deep, "unknown")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]\n",
        b'{"call": 1}\n',
        b'{"call":"echo","x":1}\n',
        b'{"call":"\xff"}\n',
        b'{"call":"echo","args":{"a":' + b"[" * 100_000,
    ],
)
async def test_garbage_is_answered_as_such(line: bytes) -> None:
    answer = await admin.AdminDoor(CALLS).answer(line)
    assert not answer.ok and answer.error.startswith("not a request")


async def test_a_request_over_its_limit_is_not_read_on(tmp_path: Path) -> None:
    listener = admin.open_socket(tmp_path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(admin.AdminDoor(CALLS).serve, listener)
        stream = await trio.open_unix_socket(str(tmp_path / admin.SOCKET_NAME))
        try:
            await stream.send_all(b"x" * (admin.REQUEST_BYTES_MAX + 1))
            answer = msgspec.json.decode(await stream.receive_some(65536), type=admin.Answer)
            assert not answer.ok
        except trio.BrokenResourceError:
            pass  # closed with our bytes unread: as good an answer
        nursery.cancel_scope.cancel()


async def test_a_node_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        await ask(tmp_path, "echo")
