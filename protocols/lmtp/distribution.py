"""A received message to everybody its recipients lead to, and what each recipient is told.

250 for a recipient means that the message is durable on a majority in that recipient's inbox. One
that could not be answered for gets 451, and the MTA tries again; nothing is said for all because of
one. An account gets one copy, by however many recipients and lists it is reached.

A list is answered for as one: 451 as long as any of its members may yet get it (those who have it
remember that, so the MTA's retry is no second copy), else 250 when it came to one at least.
Expansion is that of an alias (RFC 5321 3.9.1): sender and content stay. What goes elsewhere says in
Delivered-To which list it came by, and mail that comes by the same list again is refused.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Final

import trio

from protocols import delivery
from protocols.lmtp import replies
from protocols.lmtp.events import MessageReceived, Recipient
from protocols.lmtp.replies import Reply
from protocols.lmtp.trace import render_trace
from protocols.ports import Ports, Unavailable
from storage.deliveries import KEY_BYTES
from storage.ids import AccountId
from storage.mail.errors import MailError, OverQuota
from storage.mail.records import NewEmail

# Deliveries of one message under way at a time: enough for the proposer to batch them.
DELIVERIES_MAX: Final = 32
# How much of a header is searched for the lists that the message came by.
HEADER_BYTES_MAX: Final = 64 * 1024
_DELIVERED_TO: Final = re.compile(rb"^delivered-to[ \t]*:[ \t]*(\S+)[ \t]*\r?$", re.I | re.M)

_Told = Reply | None
"""What is refused, None: it is there."""


async def distribute(
    ports: Ports, received: MessageReceived, *, peer_ip: str, secure: bool
) -> Sequence[Reply]:
    """A reply for each recipient, in order."""
    now_ms = ports.clock.now_ms()
    trace = _trace(ports, received, peer_ip=peer_ip, secure=secure, now_ms=now_ms)
    message = b"".join((trace, received.content))
    sender = str(received.mail.sender or "")
    key = delivery.delivery_key(sender, received.content)
    recipients = received.recipients
    came_by = _came_by(received)
    good = [each for each in recipients if each.route.mailing_list not in came_by]
    accounts = dict.fromkeys(account for each in good for account in each.route.accounts)
    told: Mapping[AccountId, _Told] = {}
    if accounts:
        email = delivery.prepare(message, received_ms=now_ms)
        told = await _deliver_to_all(ports, list(accounts), email, message, key)
    onward = {each.route.mailing_list: each.route.elsewhere for each in good}
    forwarded: dict[str, Sequence[_Told]] = {}
    for address, elsewhere in onward.items():
        if elsewhere:
            by_list = b"Delivered-To: %b\r\n%b" % (address.encode(), _without_path(message))
            again = None if key is None else _key_of_list(key, address)
            forwarded[address] = await _forward(ports, sender, elsewhere, by_list, again)
    answers: list[Reply] = []
    for each in recipients:
        if each not in good:
            answers.append(replies.LIST_LOOP)
            continue
        outcomes = [told[account] for account in each.route.accounts]
        outcomes += forwarded.get(each.route.mailing_list, ())
        answers.append(_answer(each, outcomes))
    return answers


def _answer(recipient: Recipient, outcomes: Sequence[_Told]) -> Reply:
    """What a recipient is told of everybody it leads to."""
    assert outcomes, recipient
    refusals = [each for each in outcomes if each is not None]
    temporary = [each for each in refusals if each.code < 500]
    if temporary or len(refusals) == len(outcomes):
        return (temporary or refusals)[0]
    return replies.delivered(str(recipient.address))


async def _deliver_to_all(
    ports: Ports,
    accounts: Sequence[AccountId],
    email: NewEmail,
    message: bytes,
    key: bytes | None,
) -> Mapping[AccountId, _Told]:
    """What each account's delivery is refused with, None where it is done."""
    if len(accounts) == 1:  # nearly all mail; a nursery would cost more than the planning
        return {accounts[0]: await _deliver_to(ports, accounts[0], email, message, key)}
    told: dict[AccountId, _Told] = {}
    waiting = iter(accounts)

    async def work(some: Iterable[AccountId]) -> None:
        for account in some:
            told[account] = await _deliver_to(ports, account, email, message, key)

    async with trio.open_nursery() as nursery:
        for _ in range(min(DELIVERIES_MAX, len(accounts))):
            nursery.start_soon(work, waiting)
    return told


async def _deliver_to(
    ports: Ports, account: AccountId, email: NewEmail, message: bytes, key: bytes | None
) -> _Told:
    try:
        await delivery.deliver(ports, account, email, message, key=key)
    except Unavailable:
        return replies.UNAVAILABLE
    except OverQuota:
        return replies.MAILBOX_FULL
    except (MailError, delivery.NoInbox):
        return replies.MAILBOX_DISABLED
    return None


async def _forward(
    ports: Ports, sender: str, addresses: Sequence[str], message: bytes, key: bytes | None
) -> Sequence[_Told]:
    """What each member elsewhere is refused with, None where it is on its way."""
    try:
        answers = await ports.submitter.forward(ports, sender, addresses, message, key=key)
    except Unavailable:
        return [replies.UNAVAILABLE]
    replied = [answers[address][1] for address in addresses]
    return [None if each.startswith("2") else replies.refused_elsewhere(each) for each in replied]


def _came_by(received: MessageReceived) -> frozenset[str]:
    """Lists of the recipients that the message came by before."""
    lists = {each.route.mailing_list for each in received.recipients} - {""}
    if not lists:
        return frozenset()
    content = received.content
    end = 0 if content.startswith(b"\r\n") else content.find(b"\r\n\r\n", 0, HEADER_BYTES_MAX)
    found = _DELIVERED_TO.finditer(content, 0, HEADER_BYTES_MAX if end < 0 else end + 2)
    named = {each[1].decode("utf-8", "replace").lower() for each in found}
    return frozenset(lists & named)


def _key_of_list(key: bytes, address: str) -> bytes:
    """What a list sends on is another message than what comes to it."""
    return blake2b(address.encode(), digest_size=KEY_BYTES, key=key).digest()


def _without_path(message: bytes) -> bytes:
    """Without the Return-Path that we put first: only final delivery has one (RFC 5321 4.4)."""
    return message[message.index(b"\r\n") + 2 :]


def _trace(
    ports: Ports, received: MessageReceived, *, peer_ip: str, secure: bool, now_ms: int
) -> bytes:
    only = received.recipients[0] if len(received.recipients) == 1 else None
    chance = ports.chance.getrandbits(64)
    return render_trace(
        sender=received.mail.sender,
        client=received.client,
        peer_ip=peer_ip,
        hostname=ports.hostname,
        secure=secure,
        smtputf8=received.mail.smtputf8,
        delivery_id=f"{ports.node}-{chance:016x}",
        only_recipient=None if only is None else only.address,
        now_ms=now_ms,
    )
