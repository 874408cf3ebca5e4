"""Which batches there are of which UIDs (RFC 10022)."""

import pytest

from protocols.errors import RemoteProtocolError
from protocols.imap.batches import UidBatches, batches, count_batches
from protocols.imap.parse import parse_command
from protocols.imap.tokens import Tokens
from tests.protocols.imap.stage import open_stage

UIDS = [3, 4, 9, 20, 21, 50, 99]


def test_batches_are_counted_from_the_newest_and_leave_no_uid_out() -> None:
    assert batches(UIDS, UidBatches(3)) == [(99, 21), (20, 4), (3, 1)]
    assert batches(UIDS, UidBatches(7)) == batches(UIDS, UidBatches(100)) == [(99, 1)]
    assert batches([], UidBatches(3)) == []
    assert batches([5], UidBatches(1)) == [(5, 1)]
    for size in range(1, 9):
        found = batches(UIDS, UidBatches(size))
        spelled = [uid for high, low in found for uid in range(high, low - 1, -1)]
        assert spelled == list(range(99, 0, -1))
        held = [sum(low <= uid <= high for uid in UIDS) for high, low in found]
        assert held[:-1] == [size] * (len(held) - 1) and 0 < held[-1] <= size
        assert len(found) == count_batches(len(UIDS), UidBatches(size))


def test_some_of_them_are_those_of_all() -> None:
    every = batches(UIDS, UidBatches(2))
    assert batches(UIDS, UidBatches(2, 1, 1)) == every[:1]
    assert batches(UIDS, UidBatches(2, 2, 3)) == every[1:3]
    assert batches(UIDS, UidBatches(2, 4, 9)) == every[3:]
    assert batches(UIDS, UidBatches(2, 5, 4_000_000_000)) == []
    assert count_batches(len(UIDS), UidBatches(2, 4, 9)) == 6


def test_what_is_said_to_ask_for_them() -> None:
    assert parse_command(Tokens(b"UIDBATCHES 2000")) == UidBatches(2000)
    assert parse_command(Tokens(b"uidbatches 500 10:20")) == UidBatches(500, 10, 20)
    for wrong in (b"", b" 0", b" x", b" 500 0:1", b" 500 1:*", b" 500 1", b" 500 1:2 3", b" 5:6"):
        with pytest.raises(RemoteProtocolError):
            parse_command(Tokens(b"UIDBATCHES" + wrong))


async def test_of_a_mailbox_of_some_size() -> None:
    async with open_stage() as stage:
        stage.fill(1100)
        client = await stage.reader()
        asked = await client.ask(b"UIDBATCHES 500")
        assert asked[:-1] == [b'* UIDBATCHES (TAG "t") 1100:601,600:101,100:1']
        await client.ask(b"UID STORE 600:700 +FLAGS.SILENT (\\Deleted)")
        await client.ask(b"EXPUNGE")
        asked = await client.ask(b"UIDBATCHES 500 1:2")
        assert asked[:-1] == [b'* UIDBATCHES (TAG "t") 1100:500,499:1']
