"""Mail for aliases, details, catch-alls and lists: to everybody once, and one answer for each."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest

from protocols.lmtp import transaction
from protocols.ports import Answers, Ports, Unavailable
from protocols.submitting import LocalSubmitter
from storage import accounts, lists
from storage.mail import quota
from tests.fakes import FakeHouse, make_house
from tests.protocols.lmtp.test_session import MESSAGE, Mta, connected, inbox

ALICE, BOB, CREW = "alice@example.org", "bob@example.org", "crew@example.org"
NAMED = b"Received: by mx.example.net id 4F1\r\n" + MESSAGE


class Relay(LocalSubmitter):
    """Takes what is forwarded, each key once, or answers as a test says."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, tuple[str, ...], bytes]] = []
        self.keys: set[bytes] = set()
        self.answer = "250 2.0.0 queued"
        self.lost = False

    async def forward(
        self,
        ports: Ports,
        mail_from: str,
        recipients: Sequence[str],
        message: bytes,
        *,
        key: bytes | None,
    ) -> Answers:
        if self.lost:
            raise Unavailable("the test says so")
        if key is None or key not in self.keys:
            self.sent.append((mail_from, tuple(recipients), message))
            self.keys |= set() if key is None else {key}
        return dict.fromkeys(recipients, ("queued", self.answer))


@pytest.fixture
def house() -> FakeHouse:
    house = make_house({ALICE: "a", BOB: "b"})
    add_list(house, CREW, ALICE, BOB)
    return house


@pytest.fixture
def relay(house: FakeHouse) -> Relay:
    relay = Relay()
    house.ports = replace(house.ports, submitter=relay)
    lists_members(house, CREW, ALICE, "out@elsewhere.example")
    return relay


def add_list(house: FakeHouse, address: str, *members: str) -> None:
    house.run(partial(accounts.plan_create_list, address=address, members=members))


def lists_members(house: FakeHouse, address: str, *members: str) -> None:
    house.run(partial(lists.plan_set_members, address=address, members=members))


def fill(house: FakeHouse, address: str) -> None:
    house.run(lambda plan: quota.plan_limit(plan, house.accounts[address], 10))


async def codes(mta: Mta, *recipients: str, message: bytes = NAMED) -> list[str]:
    return [answer[:9] for answer in await mta.send(*recipients, message=message)]


async def test_a_list_is_everybody_in_it_and_one_answer(house: FakeHouse) -> None:
    async with connected(house) as mta:
        assert await mta.send(CREW) == ["250 2.0.0 <crew@example.org> delivered"]
    assert len(inbox(house, ALICE)) == len(inbox(house, BOB)) == 1
    assert b"\tfor <crew@example.org>;" in inbox(house, BOB)[0]


async def test_whoever_is_reached_by_many_ways_gets_one_copy(house: FakeHouse) -> None:
    add_list(house, "all@example.org", CREW, "alice+all@example.org")
    writes = house.writer.writes
    async with connected(house) as mta:
        assert await codes(mta, CREW, "all@example.org", "bob+x@example.org", ALICE) == (
            ["250 2.0.0"] * 4
        )
    assert len(inbox(house, ALICE)) == len(inbox(house, BOB)) == 1
    assert house.writer.writes == writes + 2  # one for each account


async def test_aliases_details_and_catch_alls_are_recipients(house: FakeHouse) -> None:
    alice = house.accounts[ALICE]
    house.run(lambda plan: accounts.plan_set_aliases(plan, alice, ["sales@example.org"]))
    house.run(lambda plan: accounts.plan_set_catch_all(plan, "example.org", BOB))
    async with connected(house) as mta:
        await mta.send("sales+x@example.org")
        await mta.send("nobody@example.org")
    assert len(inbox(house, ALICE)) == len(inbox(house, BOB)) == 1


async def test_a_full_member_does_not_keep_the_others_from_it(house: FakeHouse) -> None:
    fill(house, BOB)
    async with connected(house) as mta:
        assert await codes(mta, CREW, BOB) == ["250 2.0.0", "552 5.2.2"]
        fill(house, ALICE)
        assert await codes(mta, CREW) == ["250 2.0.0"]  # she has it already
        assert await codes(mta, CREW, message=b"X" + NAMED) == ["552 5.2.2"]


async def test_a_list_of_nobody_and_one_too_large_are_refused_at_rcpt(house: FakeHouse) -> None:
    add_list(house, "none@example.org", "gone@example.org")
    async with connected(house) as mta:
        answers = await mta.ask("MAIL FROM:<>", "RCPT TO:<none@example.org>")
        assert answers[1][:9] == "550 5.2.4"
        lists_members(house, "none@example.org", *(f"l{n}@example.org" for n in range(11)))
        for n in range(11):
            members = [f"m{m}@x.example" for m in range(lists.MEMBERS_MAX)]
            add_list(house, f"l{n}@example.org", *members)
        assert (await mta.ask("RCPT TO:<none@example.org>"))[0][:9] == "451 4.2.4"


async def test_lists_of_many_fill_a_transaction(
    house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "PLACES_MAX", 3)
    async with connected(house) as mta:
        answers = await mta.ask(
            "MAIL FROM:<>", f"RCPT TO:<{CREW}>", f"RCPT TO:<{CREW}>", f"RCPT TO:<{BOB}>"
        )
    assert [answer[:9] for answer in answers[1:]] == ["250 2.1.5", "452 4.5.3", "250 2.1.5"]


# --- members elsewhere


async def test_members_elsewhere_are_handed_on_as_of_an_alias(
    house: FakeHouse, relay: Relay
) -> None:
    async with connected(house) as mta:
        assert await codes(mta, CREW) == ["250 2.0.0"]
    ((sender, recipients, message),) = relay.sent
    assert (sender, recipients) == ("carol@example.net", ("out@elsewhere.example",))
    assert message.startswith(b"Delivered-To: crew@example.org\r\nReceived: from mx.example.net ")
    assert message.endswith(NAMED)
    assert inbox(house, ALICE)[0].startswith(b"Return-Path: <carol@example.net>\r\nReceived: ")


async def test_a_retry_hands_nothing_on_twice(house: FakeHouse, relay: Relay) -> None:
    async with connected(house) as mta:
        relay.lost = True
        assert await codes(mta, CREW) == ["451 4.3.2"]
        relay.lost = False
        assert await codes(mta, CREW) == ["250 2.0.0"]
        assert await codes(mta, CREW) == ["250 2.0.0"]
    assert len(relay.sent) == len(inbox(house, ALICE)) == 1


async def test_what_a_relay_refuses_is_told_when_nobody_has_it(
    house: FakeHouse, relay: Relay
) -> None:
    relay.answer = "550 5.4.4 this server sends to its own users only"
    async with connected(house) as mta:
        assert await codes(mta, CREW) == ["250 2.0.0"]
        lists_members(house, CREW, "out@elsewhere.example")
        (answer,) = await mta.send(CREW)
        assert answer[:3] == "550" and "its own users only" in answer
        relay.answer = "451 4.4.1 try later"
        assert (await mta.send(CREW))[0][:3] == "451"


async def test_a_message_that_comes_back_to_its_list_goes_no_further(
    house: FakeHouse, relay: Relay
) -> None:
    async with connected(house) as mta:
        await mta.send(CREW, message=NAMED)
        back = relay.sent[0][2]
        assert await codes(mta, CREW, BOB, message=back) == ["554 5.4.6", "250 2.0.0"]
        quoted = MESSAGE + back  # in its body it is only quoted
        assert await codes(mta, CREW, message=quoted) == ["250 2.0.0"]
    assert len(inbox(house, ALICE)) == 2 and len(inbox(house, BOB)) == 1


async def test_without_a_relay_the_sender_hears_so(house: FakeHouse) -> None:
    lists_members(house, CREW, "out@elsewhere.example")
    async with connected(house) as mta:
        (answer,) = await mta.send(CREW)
    assert answer[:3] == "550" and "own users only" in answer


# --- what users write goes the same ways


async def test_a_user_writes_to_a_list_of_many(house: FakeHouse) -> None:
    people = [f"p{number}@example.org" for number in range(40)]
    for address in people:
        house.add_account(address, "x")
    lists_members(house, CREW, BOB, *people)
    sender = house.accounts[ALICE]
    for _ in range(2):
        answers = await house.ports.submitter.hand_over(
            house.ports, sender, ALICE, [CREW, "p3@example.org", "no@example.org"], MESSAGE
        )
        assert [answers[each][0] for each in (CREW, "p3@example.org")] == ["yes"] * 2
        assert answers["no@example.org"][1].startswith("550")
    assert {len(inbox(house, address)) for address in (BOB, *people)} == {2}
