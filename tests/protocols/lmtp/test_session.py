"""Whole LMTP connections over storage in memory: what 250 means, and every way not to get it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio
import trio.testing

from protocols.lmtp import LmtpDoor, Offer
from protocols.lmtp.session import CONTENT_S, IDLE_S
from protocols.serve import COMMAND_S
from protocols.tls_stream import TlsContext
from storage import keys
from storage.ids import EmailId
from storage.mail import quota
from storage.mail.mailboxes import by_role
from storage.mail.messages import email_view, meta, uid_rows
from tests.fakes import FakeHouse, make_house
from tests.protocols.mime.odd_messages import ODD_MESSAGES
from tests.tls import Authority

OFFER = Offer(hostname="mail.example.org")
MESSAGE = b"From: Carol <carol@example.net>\r\nSubject: hi\r\n\r\nHello.\r\n"
HELLO = "LHLO mx.example.net"


@pytest.fixture
def house() -> FakeHouse:
    return make_house({"alice@example.org": "a", "bob@example.org": "b"})


class Mta:
    """The other side: says lines, hears replies."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._heard = b""

    async def say(self, *lines: str) -> None:
        await self.stream.send_all("".join(line + "\r\n" for line in lines).encode())

    async def hear(self) -> str:
        """The next reply; its last line if it has many; "" at the end."""
        while True:
            line, found, rest = self._heard.partition(b"\r\n")
            if found:
                self._heard = rest
                if line[3:4] == b" ":
                    return line.decode()
                continue
            piece = await self.stream.receive_some()
            if not piece:
                return ""
            self._heard += piece

    async def ask(self, *lines: str) -> list[str]:
        """Say them at once, hear a reply to each."""
        await self.say(*lines)
        return [await self.hear() for _ in lines]

    async def send(self, *recipients: str, message: bytes = MESSAGE) -> list[str]:
        """A whole transaction; the replies after the message, one per recipient."""
        rcpts = [f"RCPT TO:<{recipient}>" for recipient in recipients]
        answers = await self.ask("MAIL FROM:<carol@example.net>", *rcpts, "DATA")
        assert [answer[:3] for answer in answers] == ["250"] * (1 + len(rcpts)) + ["354"]
        stuffed = (b"\r\n" + message).replace(b"\r\n.", b"\r\n..")[2:]
        await self.stream.send_all(stuffed + b".\r\n")
        return [await self.hear() for _ in recipients]


@asynccontextmanager
async def connected(
    house: FakeHouse,
    offer: Offer = OFFER,
    *,
    door: LmtpDoor | None = None,
    tls: TlsContext | None = None,
    peer_ip: str = "10.0.2.25",
) -> AsyncIterator[Mta]:
    """An MTA that has said hello to the house's LMTP door."""
    ours, theirs = trio.testing.memory_stream_pair()
    door = door or LmtpDoor(house.ports, offer, tls=tls)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(door.converse, ours, peer_ip, False)
        mta = Mta(theirs)
        assert (await mta.hear()).startswith("220 mail.example.org LMTP")
        assert (await mta.ask(HELLO))[0].startswith("250 ")
        yield mta
        await theirs.aclose()


def inbox(house: FakeHouse, address: str) -> list[bytes]:
    """The messages in an account's inbox, oldest first, octet for octet."""
    account = house.accounts[address]
    box = by_role(house.view(), account, "inbox")
    assert box is not None
    found = []
    for _uid, row in uid_rows(house.view(), account, box.id):
        held = meta(house.view(), account, EmailId(row.email))
        assert held is not None
        found.append(house.blobs.read(held.blob, 0, held.size))
    return found


async def test_a_message_is_in_the_inbox_when_250_is_said(house: FakeHouse) -> None:
    async with connected(house) as mta:
        assert await mta.send("alice@example.org") == ["250 2.0.0 <alice@example.org> delivered"]
        (message,) = inbox(house, "alice@example.org")
        trace = (
            b"Return-Path: <carol@example.net>\r\n"
            b"Received: from mx.example.net ([10.0.2.25])\r\n"
            b"\tby mail.example.org with LMTP id n1-"
        )
        assert message.startswith(trace)
        assert b"\r\n\tfor <alice@example.org>;\r\n\tSun, 1 Nov 2026 12:00:00 +0000\r\n" in message
        assert message.endswith(b"\r\n" + MESSAGE)
        assert (await mta.ask("QUIT"))[0].startswith("221")


async def test_what_lists_show_is_kept_with_it(house: FakeHouse) -> None:
    async with connected(house) as mta:
        await mta.send("alice@example.org")
    account = house.accounts["alice@example.org"]
    view = email_view(house.view(), account, EmailId(1))
    held = meta(house.view(), account, EmailId(1))
    assert view is not None and held is not None
    assert b'"hi"' in view.json
    assert b"carol" in view.envelope
    assert held.received_ms == house.clock.now_ms()
    assert held.keywords == ()


async def test_each_recipient_has_its_own_answer_and_copy(house: FakeHouse) -> None:
    async with connected(house) as mta:
        answers = await mta.send("bob@example.org", "alice@example.org")
    assert answers == [
        "250 2.0.0 <bob@example.org> delivered",
        "250 2.0.0 <alice@example.org> delivered",
    ]
    (message,) = inbox(house, "alice@example.org")
    assert inbox(house, "bob@example.org") == [message]
    assert b"\tfor <" not in message  # one recipient must not learn of another


async def test_recipients_of_one_account_share_a_copy(house: FakeHouse) -> None:
    async with connected(house) as mta:
        answers = await mta.send("alice@example.org", "Alice+lists@EXAMPLE.org")
    assert [answer[:3] for answer in answers] == ["250", "250"]
    assert len(inbox(house, "alice@example.org")) == 1


async def test_nobody_is_known_by_another_name(house: FakeHouse) -> None:
    async with connected(house) as mta:
        answers = await mta.ask(
            "MAIL FROM:<>",
            "RCPT TO:<carol@example.org>",
            "RCPT TO:<alice@example.com>",
            "RCPT TO:<+alice@example.org>",
            'RCPT TO:<"alice@example.org"@example.net>',
            "RCPT TO:<Postmaster>",
        )
        assert [answer[:9] for answer in answers[1:]] == ["550 5.1.1"] * 5


async def test_the_bare_postmaster_is_the_hosts_own(house: FakeHouse) -> None:
    house.add_account("postmaster@mail.example.org", "p")
    async with connected(house) as mta:
        answers = await mta.ask("MAIL FROM:<>", "RCPT TO:<Postmaster>")
        assert answers[1] == "250 2.1.5 <Postmaster> ok"


async def test_a_null_sender_leaves_an_empty_return_path(house: FakeHouse) -> None:
    async with connected(house) as mta:
        await mta.ask("MAIL FROM:<>", "RCPT TO:<alice@example.org>", "DATA")
        await mta.say("x", ".")
        assert (await mta.hear())[:3] == "250"
    assert inbox(house, "alice@example.org")[0].startswith(b"Return-Path: <>\r\n")


async def test_without_a_majority_nothing_is_promised(house: FakeHouse) -> None:
    async with connected(house) as mta:
        await mta.ask("MAIL FROM:<>", "RCPT TO:<alice@example.org>", "DATA")
        house.unavailable = True
        await mta.say("x", ".")
        assert (await mta.hear())[:9] == "451 4.3.2"
        answers = await mta.ask("MAIL FROM:<>", "RCPT TO:<alice@example.org>")
        assert answers[1][:9] == "451 4.3.2"
        await mta.ask("RSET")
        house.unavailable = False
        assert (await mta.send("alice@example.org"))[0][:3] == "250"
    assert len(inbox(house, "alice@example.org")) == 1


async def test_a_full_mailbox_is_told_apart_from_a_good_one(house: FakeHouse) -> None:
    house.run(lambda plan: quota.plan_limit(plan, house.accounts["alice@example.org"], 100))
    async with connected(house) as mta:
        answers = await mta.send("alice@example.org", "bob@example.org")
    assert answers == ["552 5.2.2 mailbox full", "250 2.0.0 <bob@example.org> delivered"]
    assert inbox(house, "alice@example.org") == []


async def test_a_conflict_is_nobodys_business(house: FakeHouse) -> None:
    house.conflicts = 3
    async with connected(house) as mta:
        assert (await mta.send("alice@example.org"))[0][:3] == "250"
    assert len(inbox(house, "alice@example.org")) == 1


async def test_a_pipelined_group_asks_the_cluster_once(house: FakeHouse) -> None:
    async with connected(house) as mta:
        await mta.ask("MAIL FROM:<>", *["RCPT TO:<alice@example.org>"] * 50)
    assert house.reader.barriers == 1


async def test_an_account_without_inbox_takes_no_mail(house: FakeHouse) -> None:
    account = house.accounts["alice@example.org"]
    async with connected(house) as mta:
        await mta.ask("MAIL FROM:<>", "RCPT TO:<alice@example.org>", "DATA")
        house.engine.write(  # as if the account were deleted meanwhile
            puts=[], deletes=[key for key, _ in house.engine.scan(*keys.account_range(account))]
        )
        await mta.say("x", ".")
        assert (await mta.hear())[:9] == "550 5.2.1"


async def test_deliveries_to_many_go_on_together(house: FakeHouse) -> None:
    """All are under way before the first is through; each is answered in order."""
    people = [f"p{number}@example.org" for number in range(100)]
    for address in people:
        house.add_account(address, "x")
    async with connected(house) as mta:
        house.stall()
        async with trio.open_nursery() as nursery:
            answers: list[str] = []

            async def send() -> None:
                answers.extend(await mta.send(*people))

            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked()
            house.release()
        assert answers == [f"250 2.0.0 <{address}> delivered" for address in people]
    assert all(len(inbox(house, address)) == 1 for address in people)


async def test_a_large_message_by_chunks(house: FakeHouse) -> None:
    body = bytes(range(256)) * 8192  # 2 MiB, every octet
    async with connected(house) as mta:
        await mta.ask("MAIL FROM:<> BODY=BINARYMIME", "RCPT TO:<alice@example.org>")
        for at in range(0, len(body), 1 << 20):
            await mta.say(f"BDAT {1 << 20}")
            await mta.stream.send_all(body[at : at + (1 << 20)])
            assert (await mta.hear())[:3] == "250"
        assert (await mta.ask("BDAT 0 LAST"))[0][:3] == "250"
    assert inbox(house, "alice@example.org")[0].endswith(b"\r\n" + body)


async def test_what_is_held_is_given_back_when_the_peer_goes(house: FakeHouse) -> None:
    door = LmtpDoor(house.ports, OFFER)
    async with connected(house, door=door) as mta:
        await mta.ask("MAIL FROM:<>", "RCPT TO:<alice@example.org>", "DATA")
        await mta.stream.send_all(b"x" * 100_000)
        await trio.testing.wait_all_tasks_blocked()
        assert door.budget.held >= 100_000
    assert door.budget.held == 0
    assert inbox(house, "alice@example.org") == []


async def test_a_full_door_says_come_again(house: FakeHouse) -> None:
    door = LmtpDoor(house.ports, replace(OFFER, message_bytes_max=1000), held_bytes_max=0)
    assert door.budget.take(1500)  # others are being received
    async with connected(house, door=door) as mta:
        assert (await mta.ask("MAIL FROM:<> SIZE=900"))[0][:9] == "452 4.3.1"
        answers = await mta.send("alice@example.org", message=b"x" * 900 + b"\r\n")
        assert answers[0][:9] == "452 4.3.1"
        door.budget.give_back(1500)
        answers = await mta.send("alice@example.org", message=b"x" * 900 + b"\r\n")
        assert answers[0][:3] == "250"


async def test_starttls(house: FakeHouse) -> None:
    authority = Authority()
    server, trusting = authority.server(), authority.client()
    async with connected(house, replace(OFFER, starttls=True), tls=server) as mta:
        assert (await mta.ask("STARTTLS"))[0][:3] == "220"
        wrapped = trio.SSLStream(mta.stream, trusting, server_hostname="mail.example.org")
        secure = Mta(wrapped)
        assert (await secure.ask("MAIL FROM:<>"))[0][:3] == "503"  # LHLO is due again
        assert (await secure.ask(HELLO))[0] == "250 SMTPUTF8"  # STARTTLS is not offered twice
        assert (await secure.send("alice@example.org"))[0][:3] == "250"
        await wrapped.aclose()
    assert b" with LMTPS id " in inbox(house, "alice@example.org")[0]


async def test_utf8_addresses_are_delivered_to(house: FakeHouse) -> None:
    house.add_account("zoë@bücher.example", "z")
    async with connected(house) as mta:
        await mta.ask(
            "MAIL FROM:<grün@example.net> SMTPUTF8", "RCPT TO:<Zoë@xn--bcher-kva.example>", "DATA"
        )
        await mta.say("x", ".")
        assert (await mta.hear())[:3] == "250"
    (message,) = inbox(house, "zoë@bücher.example")
    assert message.startswith("Return-Path: <grün@example.net>\r\n".encode())
    assert b" with UTF8LMTP id " in message


async def test_what_came_is_what_is_kept_octet_for_octet(house: FakeHouse) -> None:
    """By DATA what ends in CRLF, as it must; by BDAT anything at all."""
    async with connected(house) as mta:
        for name, data in ODD_MESSAGES:
            await mta.ask("MAIL FROM:<> BODY=BINARYMIME", "RCPT TO:<alice@example.org>")
            await mta.say(f"BDAT {len(data)} LAST")
            await mta.stream.send_all(data)
            assert (await mta.hear())[:3] == "250", name
            if data.endswith(b"\r\n"):
                assert (await mta.send("alice@example.org", message=data))[0][:3] == "250", name
    kept = iter(inbox(house, "alice@example.org"))
    for name, data in ODD_MESSAGES:
        for _ in range(2 if data.endswith(b"\r\n") else 1):
            trace, message = _without_trace(next(kept))
            assert (trace[:12], message) == (b"Return-Path:", data), name


def _without_trace(message: bytes) -> tuple[bytes, bytes]:
    """Trace fields and the message as it came: they end with the date of Received."""
    end = message.index(b" +0000\r\n") + len(b" +0000\r\n")
    return message[:end], message[end:]


# --- peers that waste time


async def test_an_idle_mta_is_sent_away(
    house: FakeHouse, autojump_clock: trio.testing.MockClock
) -> None:
    async with connected(house) as mta:
        began = trio.current_time()
        assert (await mta.hear())[:9] == "421 4.4.2"
        assert trio.current_time() - began == pytest.approx(IDLE_S, abs=5)


async def test_a_command_that_drips_in_is_not_waited_for(
    house: FakeHouse, autojump_clock: trio.testing.MockClock
) -> None:
    async with connected(house) as mta:
        began = trio.current_time()
        for _ in range(int(COMMAND_S) + 1):
            await mta.stream.send_all(b"x")
            await trio.sleep(1)
        assert (await mta.hear())[:9] == "421 4.4.2"
        assert trio.current_time() - began < COMMAND_S + 10


async def test_content_that_drips_in_is_not_waited_for(
    house: FakeHouse, autojump_clock: trio.testing.MockClock
) -> None:
    async with connected(house) as mta:
        await mta.ask("MAIL FROM:<>", "RCPT TO:<alice@example.org>", "DATA")
        for _ in range(int(CONTENT_S) + 1):
            await mta.stream.send_all(b"x")
            await trio.sleep(1)
        assert (await mta.hear())[:9] == "421 4.4.2"
    assert inbox(house, "alice@example.org") == []


async def test_a_slow_cluster_is_not_the_peers_fault(
    house: FakeHouse, autojump_clock: trio.testing.MockClock
) -> None:
    async with connected(house) as mta:
        await mta.ask("MAIL FROM:<>", "RCPT TO:<alice@example.org>", "DATA")
        house.stall()
        await mta.say("x", ".")
        await trio.sleep(2 * CONTENT_S)
        house.release()
        assert (await mta.hear())[:3] == "250"


async def test_a_peer_that_does_not_read_is_cut_off(
    house: FakeHouse, autojump_clock: trio.testing.MockClock
) -> None:
    ours, _theirs = trio.testing.lockstep_stream_pair()
    door = LmtpDoor(house.ports, OFFER)
    await door.converse(ours, "10.0.2.25", False)  # it never takes the greeting
    assert trio.current_time() < 120


async def test_a_stopping_node_finishes_nothing_it_did_not_promise(
    house: FakeHouse, autojump_clock: trio.testing.MockClock
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    door = LmtpDoor(house.ports, OFFER)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(door.converse, ours, "10.0.2.25", False)
        mta = Mta(theirs)
        await mta.hear()
        await mta.ask(HELLO)
        nursery.cancel_scope.cancel()
    assert (await mta.hear())[:9] == "421 4.3.2"
    assert await mta.hear() == ""


async def test_a_megabyte_line_hurts_nobody_else(
    house: FakeHouse, autojump_clock: trio.testing.MockClock
) -> None:
    door = LmtpDoor(house.ports, OFFER)
    async with connected(house, door=door) as rude, connected(house, door=door) as polite:
        await rude.stream.send_all(b"x" * 1_000_000 + b"\r\nNOOP\r\n")
        assert (await rude.hear())[:9] == "500 5.5.2"
        assert (await rude.hear())[:3] == "250"
        assert (await polite.send("alice@example.org"))[0][:3] == "250"


async def test_a_transaction_may_end_when_the_door_closes(house: FakeHouse) -> None:
    door = LmtpDoor(house.ports, OFFER)
    async with connected(house, door=door) as resting, connected(house, door=door) as busy:
        await busy.ask("MAIL FROM:<>", "RCPT TO:<alice@example.org>")
        await trio.testing.wait_all_tasks_blocked()
        door.hours.close()
        assert (await resting.hear())[:3] == "421"
        await busy.ask("DATA")
        await busy.say("x", ".")
        assert (await busy.hear())[:3] == "250"
        assert (await busy.hear())[:3] == "421"
    assert len(inbox(house, "alice@example.org")) == 1
