"""The status shows every node of the file: those that answer, and those that do not."""

import msgspec
import trio
import trio.testing

from node.status import StatusRow, gather


async def test_rows_come_in_the_files_order_with_their_lag(
    autojump_clock: trio.testing.MockClock,
) -> None:
    own = StatusRow(name="n2", up=True, pid=7, role="leader", term=3, commit=10, applied=10)
    theirs = StatusRow(name="n1", up=True, pid=8, role="follower", term=3, commit=9, applied=7)

    async def ask(name: str) -> bytes | None:
        if name == "n1":
            return msgspec.json.encode(theirs)
        if name == "n3":
            await trio.sleep_forever()
        return None

    nodes = (await gather(own, ["n1", "n2", "n3", "n4"], ask))["nodes"]
    assert [node["name"] for node in nodes] == ["n1", "n2", "n3", "n4"]
    assert [node["up"] for node in nodes] == [True, True, False, False]
    assert [node["lag"] for node in nodes] == [3, 0, None, None]


async def test_a_row_that_cannot_be_read_is_of_a_node_that_is_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    answers = {"n2": b'{"name":"n2","up":"yes"}', "n3": b'{"name":"\xff"}', "n4": b"[" * 100_000}

    async def ask(name: str) -> bytes | None:
        return answers[name]

    nodes = (await gather(StatusRow(name="n1", up=True), ["n1", *answers], ask))["nodes"]
    assert [(node["name"], node["up"]) for node in nodes] == [
        (name, True) for name in ("n1", "n2", "n3", "n4")
    ]
