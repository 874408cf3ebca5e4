"""The one way in: what is kept of a message, how threads are bound, and that anything is taken."""

import random
from pathlib import Path

import msgspec
import pytest

from protocols import delivery
from protocols.delivery import NoInbox, deliver, delivery_key, prepare
from protocols.mime.parts import unpack
from protocols.ports import Unavailable
from storage.ids import AccountId, EmailId, blob_id
from storage.mail.messages import meta, parts
from storage.mail.records import LIST_PROPERTIES
from tests.fakes import FakeHouse, make_house
from tests.protocols.mime.odd_messages import ODD_MESSAGES

# Sample mail is laid beside the checkout where there is any.
CORPORA = Path(__file__).resolve().parents[3] / "shared" / "corpora"
NOON = 1_793_534_400_000


@pytest.fixture
def house() -> FakeHouse:
    return make_house({"alice@example.org": "a"})


def mail(*fields: str, body: str = "Hello.") -> bytes:
    return ("\r\n".join(fields) + "\r\n\r\n" + body + "\r\n").encode()


def test_a_message_is_rendered_for_every_list() -> None:
    message = mail("From: Alice <alice@example.org>", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=")
    email = prepare(message, received_ms=NOON)
    assert email.blob == blob_id(message)
    assert (email.size, email.received_ms) == (len(message), NOON)
    shown = {
        name: msgspec.json.decode(value)
        for name, value in zip(LIST_PROPERTIES, email.view.json, strict=True)
    }
    assert shown["subject"] == "Grüße"
    assert shown["from"] == [{"name": "Alice", "email": "alice@example.org"}]
    assert shown["preview"] == "Hello."
    assert email.view.renderer == delivery.RENDERER
    assert email.view.envelope.startswith(b"(")
    assert email.view.bodystructure.startswith(b"(")
    assert unpack(email.parts).content_type == "text/plain"


def test_what_is_rendered_is_the_same_every_time() -> None:
    message = mail("From: a@b", "To: c@d, e@f", "Subject: x")
    assert prepare(message, received_ms=1) == prepare(message, received_ms=1)


def test_thread_ids_go_from_the_nearest_to_the_farthest() -> None:
    message = mail("Message-ID: <5@x>", "In-Reply-To: <4@x>", "References: <1@x> <2@x> <3@x> <4@x>")
    assert prepare(message, received_ms=1).message_ids == ("5@x", "4@x", "3@x", "2@x", "1@x")


@pytest.mark.parametrize(
    "subject", ["Lunch plans", "Re: Lunch plans", "RE: [food] lunch  Plans", "Fwd: Lunch plans"]
)
def test_subjects_that_bind_a_thread_are_the_same(subject: str) -> None:
    assert prepare(mail(f"Subject: {subject}"), received_ms=1).thread_subject == "lunchplans"


async def test_a_delivered_message_is_in_the_inbox(house: FakeHouse) -> None:
    account = house.accounts["alice@example.org"]
    message = mail("Subject: x")
    given = await deliver(
        house.ports, account, prepare(message, received_ms=NOON), message, keywords=["$seen"]
    )
    held = meta(house.view(), account, given.id)
    assert held is not None
    assert held.keywords == ("$seen",)
    assert len(held.mailboxes) == 1
    assert house.blobs.read(held.blob, 0, held.size) == message
    assert parts(house.view(), account, given.id) == prepare(message, received_ms=1).parts


async def test_nothing_is_kept_of_what_is_refused(house: FakeHouse) -> None:
    account = house.accounts["alice@example.org"]
    message = mail("Subject: x")
    email = prepare(message, received_ms=NOON)
    with pytest.raises(NoInbox):
        await deliver(house.ports, AccountId(99), email, message)
    house.unavailable = True
    with pytest.raises(Unavailable):
        await deliver(house.ports, account, email, message)
    assert meta(house.view(), account, EmailId(1)) is None


def mutilated() -> list[bytes]:
    """Odd messages made odder, always in the same way."""
    chance = random.Random(7)
    small = [data for _, data in ODD_MESSAGES if 0 < len(data) < 10_000]
    made = []
    for _ in range(300):
        octets = bytearray(chance.choice(small))
        for _ in range(chance.randrange(1, 8)):
            at = chance.randrange(len(octets) + 1)
            octets[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(4))
        made.append(bytes(octets))
    return made


async def test_nothing_is_too_odd_to_be_delivered(house: FakeHouse) -> None:
    account = house.accounts["alice@example.org"]
    for message in [b"", *(data for _, data in ODD_MESSAGES), *mutilated()]:
        given = await deliver(house.ports, account, prepare(message, received_ms=1), message)
        assert house.blobs.read(given.blob, 0, len(message) + 1) == message


@pytest.mark.skipif(not CORPORA.exists(), reason="sample mail is not on this machine")
async def test_sample_mail_is_delivered_as_it_is(house: FakeHouse) -> None:
    account = house.accounts["alice@example.org"]
    samples = [path for path in sorted(CORPORA.rglob("*")) if path.is_file()]
    assert samples
    for path in samples:
        message = path.read_bytes()
        given = await deliver(house.ports, account, prepare(message, received_ms=1), message)
        assert house.blobs.read(given.blob, 0, len(message) + 1) == message, path.name


# --- sent again


def test_a_key_is_of_the_sender_and_every_octet() -> None:
    message = mail("Message-ID: <1@x>", "Subject: s")
    one = delivery_key("carol@example.net", message)
    assert one == delivery_key("carol@example.net", bytearray(message))
    others = [
        delivery_key("dave@example.net", message),
        delivery_key("", message),
        delivery_key("carol@example.net", message + b"\r\n"),
        delivery_key("carol@example.net", mail("Message-ID: <1@x>", "Subject: S")),
    ]
    assert one not in others and len(set(others)) == 4 and None not in others


def test_a_message_without_trace_or_id_has_no_key() -> None:
    assert delivery_key("c@d", mail("Subject: s", body="Message-ID: <1@x>")) is None
    assert delivery_key("c@d", b"\r\nReceived: from the heart\r\n\r\n") is None
    assert delivery_key("c@d", b"") is None
    assert delivery_key("c@d", mail("Subject: s", "received : from a by b")) is not None
    late = [f"X-{n}: {'x' * 900}" for n in range(80)]
    assert delivery_key("c@d", mail(*late, "Message-ID: <1@x>")) is None
