"""Calls and answers on the wire."""

import msgspec
import pytest

from node.rpc import calls
from node.rpc.errors import LinkLost


@pytest.mark.parametrize(
    "call",
    [
        calls.Hello(),
        calls.GossipExchange(b"\x00\xff"),
        calls.AdminCall(b""),
        calls.BlobParts(((b"b" * 32, 0),)),
        calls.Marks(),
        calls.VerifyBegin(7, True),
        calls.VerifyLook(),
        calls.Rebuild("why"),
    ],
    ids=lambda c: type(c).__name__,
)
def test_a_call_comes_out_as_it_went_in(call: calls.Call) -> None:
    assert calls.decode_call(calls.encode(7, call)) == (7, call)


@pytest.mark.parametrize(
    "reply",
    [
        calls.HelloAnswer("n1", 2**64 - 1, {"n1": 2**64 - 1, "n2": 5}, True),
        calls.GossipAnswer(b"x"),
        calls.AdminAnswer(b"y"),
        calls.BlobPartsAnswer((b"part", None)),
        calls.MarksAnswer(((64, b"chain"),)),
        calls.VerifyAnswer(b"{}"),
        calls.RebuildAnswer(),
        calls.Refusal("not now", busy=True),
    ],
    ids=lambda r: type(r).__name__,
)
def test_a_reply_comes_out_as_it_went_in(reply: calls.Reply) -> None:
    assert calls.decode_reply(calls.encode(2**64 - 1, reply)) == (2**64 - 1, reply)


def test_a_call_of_a_newer_node_is_refused_by_name_and_the_link_lives() -> None:
    newer = (9).to_bytes(8, "big") + msgspec.msgpack.encode(["split-shard", 1])
    number, refusal = calls.decode_call(newer)
    assert number == 9
    assert isinstance(refusal, calls.Refusal)
    assert "split-shard" in refusal.reason


BAD_TEXT = b"12345678\x91\xa5hell\xff"
TOO_DEEP = b"12345678\x92\xa5hello" + b"\x91" * 100_000 + b"\xc0"


@pytest.mark.parametrize(
    "payload", [b"", b"1234567", b"12345678", b"12345678\xc1", BAD_TEXT, TOO_DEEP]
)
def test_bytes_that_are_no_call_end_the_link(payload: bytes) -> None:
    with pytest.raises(LinkLost):
        calls.decode_call(payload)
    with pytest.raises(LinkLost):
        calls.decode_reply(payload)
