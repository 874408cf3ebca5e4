"""An MTA that lost our 250 sends the message again: it hears 250 again, and there is one copy."""

import pytest
import trio
import trio.testing

from storage import keys
from storage.mail import quota
from tests.fakes import FakeHouse, make_house
from tests.protocols.lmtp.test_session import Mta, connected, inbox


@pytest.fixture
def house() -> FakeHouse:
    return make_house({"alice@example.org": "a", "bob@example.org": "b"})


def blobs(house: FakeHouse) -> int:
    """How many there are, whoever refers to them."""
    return len(house.view().scan(*keys.blobs_range(b"B")))


NAMED = b"Received: by mx.example.net (Postfix) id 4F1\r\nMessage-ID: <1@x>\r\n\r\nHello.\r\n"


async def test_a_message_sent_again_is_no_second_copy(house: FakeHouse) -> None:
    async with connected(house) as mta:
        first = await mta.send("alice@example.org", message=NAMED)
    house.clock.pass_s(4000)  # the 250 was lost; the MTA comes again, to whatever node
    async with connected(house) as mta:
        again = await mta.send("alice@example.org", "bob@example.org", message=NAMED)
    assert again == [*first, "250 2.0.0 <bob@example.org> delivered"]
    assert len(inbox(house, "alice@example.org")) == 1
    assert len(inbox(house, "bob@example.org")) == 1  # who had none yet


async def test_a_message_sent_again_while_the_first_is_under_way(house: FakeHouse) -> None:
    house.stall()
    async with connected(house) as one, connected(house) as two, trio.open_nursery() as nursery:
        answers: list[str] = []

        async def send(mta: Mta) -> None:
            answers.extend(await mta.send("alice@example.org", message=NAMED))

        nursery.start_soon(send, one)
        nursery.start_soon(send, two)
        await trio.testing.wait_all_tasks_blocked()
        assert answers == []
        house.release()
    assert answers == ["250 2.0.0 <alice@example.org> delivered"] * 2
    assert len(inbox(house, "alice@example.org")) == 1
    assert blobs(house) == 1  # the second's octets, with a trace of its own, are on no disk


async def test_a_refused_message_is_not_taken_for_delivered(house: FakeHouse) -> None:
    alice = house.accounts["alice@example.org"]
    house.run(lambda plan: quota.plan_limit(plan, alice, 10))
    async with connected(house) as mta:
        assert (await mta.send("alice@example.org", message=NAMED))[0][:3] == "552"
        house.run(lambda plan: quota.plan_limit(plan, alice, 10_000))
        assert (await mta.send("alice@example.org", message=NAMED))[0][:3] == "250"
    assert len(inbox(house, "alice@example.org")) == 1


async def test_equal_words_of_two_messages_are_two(house: FakeHouse) -> None:
    async with connected(house) as mta:
        await mta.send("alice@example.org", message=NAMED)
        await mta.send("alice@example.org", message=NAMED.replace(b"4F1", b"4F2"))
        await mta.send("alice@example.org")  # nothing tells these two apart
        await mta.send("alice@example.org")
    assert len(inbox(house, "alice@example.org")) == 4
