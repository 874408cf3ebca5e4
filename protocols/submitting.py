"""ports.Submitter for a cluster that delivers to its own accounts only.

A submission's recipients are answered in the commands that put the message into their inboxes,
some accounts to a command, so that nobody gets it twice or not at all whichever node dies. A list
of more accounts than that is delivered to some of them at a time before it is answered; each
account remembers what it got, so also who is on two lists gets one copy. An address elsewhere has
the SMTP reply that says so (RFC 8621 7 DeliveryStatus: delivery failed); a queue that relays takes
the place of this file.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final

from protocols.delivery import NoInbox, plan_delivery, prepare
from protocols.mime import headers
from protocols.mime.build import render_field
from protocols.mime.dates import render_date
from protocols.ports import READ_BYTES_MAX, Answers, Ports, TooManyMembers
from storage.deliveries import KEY_BYTES, plan_remember, was_delivered
from storage.ids import AccountId, BlobId, Version
from storage.mail.errors import MailError, OverQuota
from storage.mail.records import NewEmail
from storage.plan import Plan
from storage.submissions import DELIVERED, FAILED, plan_answers, to_be_sent

# RFC 3463: what is told of a recipient.
_DELIVERED: Final = (DELIVERED, "250 2.1.5 delivered")
_NO_RELAY: Final = (FAILED, "550 5.4.4 this server sends to its own users only")
_FULL: Final = (FAILED, "552 5.2.2 mailbox full")
_DISABLED: Final = (FAILED, "550 5.2.1 mailbox disabled")

# Rows of a command: accounts to one, fewer when what is kept of the message is large.
ACCOUNTS_MAX: Final = 16
_ROWS_OCTETS_MAX: Final = 384 * 1024
_ROWS_OCTETS: Final = 4 * 1024


class LocalSubmitter:
    """Implements ports.Submitter."""

    async def send(self, ports: Ports, account: AccountId, number: int) -> Sequence[Version]:
        """See ports.Submitter."""
        versions: list[Version] = []
        view = await ports.reader.view()
        held = to_be_sent(view, account, number)
        if held is None or not held.waiting:
            return versions
        now_ms = ports.clock.now_ms()
        original = _read(ports, held.blob)
        message = _outgoing(ports, original, held.mail_from, f"s{account}.{number}", now_ms)
        email = prepare(message, received_ms=now_ms)
        mail = _Mail(email, message, _key(f"{account}.{number}"))
        routes = _route(ports, held.waiting)
        await _deliver_ahead(ports, routes, mail)
        for some in _rounds(routes, email):
            wanted = {each: routes[each] for each in some}
            version = await _send_some(ports, account, number, wanted, mail)
            if version is not None:
                versions.append(version)
        return versions

    async def hand_over(
        self,
        ports: Ports,
        account: AccountId,
        mail_from: str,
        recipients: Sequence[str],
        message: bytes,
    ) -> Answers:
        """See ports.Submitter."""
        await ports.reader.view()
        now_ms = ports.clock.now_ms()
        token = f"{ports.chance.getrandbits(64):016x}"
        outgoing = _outgoing(ports, message, mail_from, token, now_ms)
        email = prepare(outgoing, received_ms=now_ms)
        mail = _Mail(email, outgoing, _key(token))
        routes = _route(ports, recipients)
        await _deliver_ahead(ports, routes, mail)
        answers: dict[str, tuple[str, str]] = {}
        for some in _rounds(routes, email):
            wanted = {each: routes[each] for each in some}

            def command(plan: Plan, wanted: _Routes = wanted) -> Answers:
                return _plan_answers(plan, wanted, mail)

            answers |= await ports.writer.write(account, command, blobs=[outgoing])
        return answers

    async def forward(
        self,
        ports: Ports,
        mail_from: str,
        recipients: Sequence[str],
        message: bytes,
        *,
        key: bytes | None,
    ) -> Answers:
        """See ports.Submitter: there is no way out of here."""
        return dict.fromkeys(recipients, _NO_RELAY)


_Routes = Mapping[str, Sequence[AccountId]]
"""Whose each address is; none: it is elsewhere, or a list of nobody here."""


@dataclass(frozen=True, slots=True)
class _Mail:
    """What is delivered, and what each account remembers of it."""

    email: NewEmail
    message: bytes
    key: bytes


def _key(token: str) -> bytes:
    """Of a submission or a message handed over, whichever node sends it (storage/deliveries.py)."""
    return blake2b(token.encode(), digest_size=KEY_BYTES, person=b"submission").digest()


async def _deliver_ahead(ports: Ports, routes: _Routes, mail: _Mail) -> None:
    """Deliver to the accounts of large lists, so that what is left for the answer is small."""
    most = _accounts_max(mail.email)
    large = dict.fromkeys(h for homes in routes.values() if len(homes) > most for h in homes)
    accounts = list(large)
    for at in range(0, len(accounts), most):
        some = accounts[at : at + most]

        def command(plan: Plan, some: Sequence[AccountId] = some) -> None:
            for home in some:
                _plan_one(plan, home, mail)

        await ports.writer.write(some[0], command, blobs=[mail.message])


async def _send_some(
    ports: Ports, account: AccountId, number: int, wanted: _Routes, mail: _Mail
) -> Version | None:
    """Deliver to some recipients, if they are still waiting; the version that says so."""

    def command(plan: Plan) -> Version | None:
        held = to_be_sent(plan, account, number)
        waiting = [] if held is None else held.waiting
        left = {each: homes for each, homes in wanted.items() if each in waiting}
        if not left:
            return None  # another node was faster, or the owner canceled it
        return plan_answers(plan, account, number, _plan_answers(plan, left, mail))

    return await ports.writer.write(account, command, blobs=[mail.message])


def _plan_answers(plan: Plan, wanted: _Routes, mail: _Mail) -> Answers:
    """Deliver one copy to each account; what is told of each address."""
    homes = dict.fromkeys(home for each in wanted.values() for home in each)
    told = {home: _plan_one(plan, home, mail) for home in homes}
    return {address: _answer([told[home] for home in each]) for address, each in wanted.items()}


def _answer(told: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Of an address: it is delivered when it has come to one of its accounts."""
    if not told:
        return _NO_RELAY
    return _DELIVERED if _DELIVERED in told else told[0]


def _plan_one(plan: Plan, home: AccountId, mail: _Mail) -> tuple[str, str]:
    if was_delivered(plan, home, mail.key, plan.now_ms):
        return _DELIVERED
    try:
        with plan.attempt():
            plan_delivery(plan, home, mail.email)
            plan_remember(plan, home, mail.key)
    except OverQuota:
        return _FULL
    except (MailError, NoInbox):
        return _DISABLED
    return _DELIVERED


def _route(ports: Ports, addresses: Iterable[str]) -> _Routes:
    view = ports.reader.local()
    found: dict[str, Sequence[AccountId]] = {}
    for address in addresses:
        try:
            route = ports.directory.route(view, address)
        except TooManyMembers:
            route = None
        found[address] = () if route is None else route.accounts
    return found


def _accounts_max(email: NewEmail) -> int:
    """How many accounts fit one command."""
    view = email.view
    each = _ROWS_OCTETS + sum(map(len, view.json)) + len(view.envelope) + len(email.parts)
    return max(1, min(ACCOUNTS_MAX, _ROWS_OCTETS_MAX // (each + len(view.bodystructure))))


def _rounds(routes: _Routes, email: NewEmail) -> Iterable[list[str]]:
    """Addresses whose accounts fit one command; those of a large list have it already."""
    most = _accounts_max(email)
    some: list[str] = []
    accounts = 0
    for address, homes in routes.items():
        new = 1 if len(homes) > most else max(1, len(homes))
        if some and accounts + new > most:
            yield some
            some, accounts = [], 0
        some.append(address)
        accounts += new
    if some:
        yield some


def _read(ports: Ports, blob: BlobId) -> bytes:
    size = ports.blobs.size(blob) or 0
    starts = range(0, size, READ_BYTES_MAX)
    return b"".join([ports.blobs.read(blob, at, READ_BYTES_MAX) for at in starts])


def _outgoing(ports: Ports, message: bytes, mail_from: str, token: str, now_ms: int) -> bytes:
    """The message as recipients get it: its trace before it, no Bcc (RFC 8621 7.5), and the
    fields it must have (RFC 6409 8.2, 8.3)."""
    moment = datetime.fromtimestamp(now_ms // 1000, UTC)
    start, end = headers.block_end(message, 0, len(message))
    names = {field.name.lower() for field in headers.split(message, start, end)}
    trace = [
        b"Return-Path: <%b>\r\n" % mail_from.encode(),
        f"Received: by {ports.hostname} with JMAP id {token};\r\n"
        f"\t{render_date(moment)}\r\n".encode(),
    ]
    if "date" not in names:
        trace.append(render_field("Date", render_date(moment)))
    if "message-id" not in names:
        trace.append(render_field("Message-ID", f"<{token}@{ports.hostname}>"))
    return b"".join((*trace, without_fields(message, "bcc")))


def without_fields(message: bytes, name: str) -> bytes:
    """The message without header fields of this name, every other octet as it is."""
    start, end = headers.block_end(message, 0, len(message))
    kept: list[bytes] = []
    at = 0
    for field in headers.split(message, start, end):
        if field.name.lower() != name:
            continue
        # The name begins its line; the value ends before its line end.
        line = message.rfind(b"\n", 0, field.start) + 1
        if b"\r" in message[line : field.start]:
            line = message.rfind(b"\r", line, field.start) + 1
        kept.append(message[at:line])
        at = field.end
        at += 2 if message[at : at + 2] == b"\r\n" else 1
    return b"".join((*kept, message[at:]))
