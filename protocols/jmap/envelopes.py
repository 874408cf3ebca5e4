"""RFC 8621 7: what the object of an EmailSubmission create asks for, and whether it may be sent.

From must name addresses of the account alone, also of a message that came from elsewhere: it
cannot be told from a forged one. The envelope's mailFrom may be empty, or any of the account's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from protocols.jmap.capabilities import Limits
from protocols.jmap.context import Context
from protocols.jmap.errors import SetError, invalid_properties
from protocols.jmap.plain import Check, read_new
from protocols.jmap.sections import read_span
from protocols.jmap.standard_set import Prepared
from protocols.jmap.values import is_id, is_reference
from protocols.mime import headers
from storage.accounts import (
    has_domain,
)
from storage.addresses import AddressInvalid, fold_address
from storage.identities import Identity, get_identity
from storage.ids import AccountId, parse_email, parse_numbered
from storage.mail.messages import visible_meta
from storage.mail.records import EmailMeta
from storage.submissions import GRACE_MS, Parameters, Recipient, Submission

_ADDRESS: Final = frozenset(("email", "parameters"))
_ENVELOPE: Final = frozenset(("mailFrom", "rcptTo"))
# RFC 5321 4.1.1.11, of the extensions in the capability; recipients take none.
MAIL_PARAMETERS: Final = frozenset(("BODY", "HOLDFOR", "HOLDUNTIL", "SIZE", "SMTPUTF8"))
_SECONDS: Final = re.compile(r"[0-9]{1,9}\Z", re.ASCII)
# RFC 6152 2 (7), RFC 1870 3 (2), RFC 6531 3.4: what each may be; SMTPUTF8 has no value.
_VALUES: Final[Mapping[str, re.Pattern[str]]] = {
    "BODY": re.compile(r"(?:7BIT|8BITMIME)\Z", re.ASCII | re.IGNORECASE),
    "SIZE": re.compile(r"[0-9]{1,20}\Z", re.ASCII),
    "SMTPUTF8": re.compile(r"\Z"),
}

_CHECKS: Final[Mapping[str, Check]] = {
    "identityId": lambda value: is_id(value) or is_reference(value),
    "emailId": lambda value: is_id(value) or is_reference(value),
    "envelope": lambda value: value is None or _is_envelope(value),
}


def _is_envelope(value: Any) -> bool:
    match value:
        case {"mailFrom": sender, "rcptTo": list() as recipients, **rest} if not rest:
            return all(_is_address(each) for each in (sender, *recipients))
        case _:
            return False


def _is_address(value: Any) -> bool:
    match value:
        case {"email": str(), **rest} if not rest.keys() - {"parameters"}:
            parameters = rest.get("parameters")
            return parameters is None or (
                isinstance(parameters, dict)
                and all(held is None or isinstance(held, str) for held in parameters.values())
            )
        case _:
            return False


@dataclass(frozen=True, slots=True)
class Sending:
    """An EmailSubmission to be made, all checked."""

    identity: int
    meta: EmailMeta
    mail_from: str
    mail_parameters: Parameters | None
    recipients: tuple[Recipient, ...]
    send_at_ms: int | None

    def submission(self, now_ms: int) -> Submission:
        """As it is kept; without a time of its own it is sent now."""
        is_later = self.send_at_ms is not None and self.send_at_ms > now_ms
        send_at_ms = self.send_at_ms if is_later and self.send_at_ms is not None else now_ms
        return Submission(
            identity=self.identity,
            email=self.meta.id,
            thread=self.meta.thread,
            blob=self.meta.blob,
            mail_from=self.mail_from,
            mail_parameters=self.mail_parameters,
            recipients=self.recipients,
            send_at_ms=send_at_ms,
            due_ms=send_at_ms if is_later else now_ms + GRACE_MS,
        )


async def read_sending(
    context: Context, account: AccountId, values: dict[str, Any]
) -> Prepared[Sending]:
    """Check the object of a create; raises SetError."""
    wish = read_new(values, _CHECKS)
    missing = [name for name in ("identityId", "emailId") if name not in wish]
    if missing:
        raise invalid_properties("a submission needs an identity and an email", *missing)
    number = parse_numbered("i", context.resolve(wish["identityId"]))
    identity = None if number is None else get_identity(context.rows, account, number)
    if number is None or identity is None:
        raise invalid_properties("there is no such identity", "identityId")
    email = parse_email(context.resolve(wish["emailId"]))
    meta = None if email is None else visible_meta(context.rows, account, email)
    if meta is None:
        raise invalid_properties("there is no such email", "emailId")
    most = context.limits.submission_bytes_max
    if meta.size > most:
        raise SetError("tooLarge", f"an email of over {most} octets is not sent", maxSize=most)
    people = _People.of(_read_header(context, meta))
    people.check(context, account)
    envelope = wish.get("envelope") or people.envelope(context, account, identity)
    sender = envelope["mailFrom"]
    mail_from = _check_mail_from(context, account, sender["email"])
    parameters = _mail_parameters(sender.get("parameters"))
    return Prepared(
        Sending(
            identity=number,
            meta=meta,
            mail_from=mail_from,
            mail_parameters=sender.get("parameters"),
            recipients=_recipients(context, envelope["rcptTo"]),
            send_at_ms=_send_at(parameters, context.ports.clock.now_ms(), context.limits),
        )
    )


def _read_header(context: Context, meta: EmailMeta) -> list[headers.Header]:
    most = min(meta.size, headers.HEADER_BYTES_MAX)
    beginning = read_span(context.ports.blobs, meta.blob, 0, most)
    return headers.split(beginning, *headers.block_end(beginning, 0, len(beginning)))


@dataclass(frozen=True, slots=True)
class _People:
    """The addresses in a message's header; lists of fields, for one that should be single."""

    senders: list[list[str]]
    authors: list[list[str]]
    recipients: list[str]

    @classmethod
    def of(cls, fields: list[headers.Header]) -> "_People":
        def addresses(name: str) -> list[list[str]]:
            found = [field for field in fields if field.name.lower() == name]
            return [[one.email for one in headers.as_addresses(field.raw)] for field in found]

        everybody = [*addresses("to"), *addresses("cc"), *addresses("bcc")]
        return cls(
            addresses("sender"), addresses("from"), [one for all_ in everybody for one in all_]
        )

    def check(self, context: Context, account: AccountId) -> None:
        """RFC 5322 3.6.2, and whose the authors are; raises invalidEmail, forbiddenFrom."""
        authors = [one for field in self.authors for one in field]
        wrong = [] if authors and len(self.authors) == 1 else ["from"]
        if len(self.senders) > 1 or any(len(field) != 1 for field in self.senders):
            wrong.append("sender")
        if wrong:
            raise SetError(
                "invalidEmail", "an email has one From, and at most one Sender", properties=wrong
            )
        for author in authors:
            if not is_own(context, account, author):
                raise SetError("forbiddenFrom", f"{author} is not an address of yours")

    def envelope(self, context: Context, account: AccountId, identity: Identity) -> dict[str, Any]:
        """RFC 8621 7: the envelope of a submission that brings none."""
        (named,) = self.senders or self.authors
        if len(named) != 1:
            raise SetError(
                "invalidEmail", "several authors need a Sender, or an envelope", properties=["from"]
            )
        mail_from = named[0] if _same(named[0], identity.email) else identity.email
        return {
            "mailFrom": {"email": mail_from},
            "rcptTo": [{"email": each} for each in self.recipients],
        }


def _same(one: str, other: str) -> bool:
    try:
        return fold_address(one) == fold_address(other)
    except AddressInvalid:
        return False


def is_own(context: Context, account: AccountId, address: str) -> bool:
    """Whether mail to this address comes to the account."""
    return context.ports.directory.resolve(context.rows, address) == account


def _check_mail_from(context: Context, account: AccountId, address: str) -> str:
    if address and not is_own(context, account, address):
        raise SetError("forbiddenMailFrom", f"{address[:200]!r} is not an address of yours")
    return address


def _mail_parameters(given: Any) -> Mapping[str, str | None]:
    parameters = {name.upper(): value for name, value in (given or {}).items()}
    unknown = parameters.keys() - MAIL_PARAMETERS
    if unknown:
        raise invalid_properties(f"no parameter {min(unknown)[:50]!r} of mailFrom", "envelope")
    for name, fits in _VALUES.items():
        if name in parameters and not fits.match(parameters[name] or ""):
            raise invalid_properties(f"{name} of mailFrom has a wrong value", "envelope")
    return parameters


def _recipients(context: Context, given: list[dict[str, Any]]) -> tuple[Recipient, ...]:
    """Each once, all of them addresses that mail can be sent to; raises SetError."""
    most = context.limits.recipients_max
    found: dict[str, Recipient] = {}
    invalid: list[str] = []
    for each in given:
        address = each["email"].strip()
        if each.get("parameters"):
            raise invalid_properties("no parameters of rcptTo are known", "envelope")
        try:
            folded = fold_address(address)
        except AddressInvalid:
            invalid.append(each["email"])
            continue
        if has_domain(context.rows, folded.rpartition("@")[2]) and not _exists(context, folded):
            invalid.append(each["email"])
        found.setdefault(folded, Recipient(address, each.get("parameters")))
    if not given:
        raise SetError("noRecipients", "nobody is named that the email could be sent to")
    if len(found) > most:
        raise SetError("tooManyRecipients", f"more than {most}", maxRecipients=most)
    if invalid:
        raise SetError(
            "invalidRecipients", "mail cannot be sent to these", invalidRecipients=invalid
        )
    return tuple(found.values())


def _exists(context: Context, address: str) -> bool:
    return context.ports.directory.is_known(context.rows, address)


def _send_at(parameters: Mapping[str, str | None], now_ms: int, limits: Limits) -> int | None:
    """RFC 4865: when it is released; None for now."""
    hold_for, hold_until = parameters.get("HOLDFOR"), parameters.get("HOLDUNTIL")
    if "HOLDFOR" not in parameters and "HOLDUNTIL" not in parameters:
        return None
    if "HOLDFOR" in parameters and "HOLDUNTIL" in parameters:
        raise invalid_properties("HOLDFOR and HOLDUNTIL exclude each other", "envelope")
    if "HOLDFOR" in parameters:
        if hold_for is None or not _SECONDS.match(hold_for):
            raise invalid_properties("HOLDFOR is no number of seconds", "envelope")
        send_at_ms = now_ms + int(hold_for) * 1000
    else:
        send_at_ms = _moment(hold_until or "")
    if send_at_ms > now_ms + limits.delayed_send_s_max * 1000:
        raise invalid_properties("it is held longer than maxDelayedSend", "envelope")
    return send_at_ms


def _moment(written: str) -> int:
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise invalid_properties("HOLDUNTIL is no date-time", "envelope")
    return int(moment.timestamp() * 1000)
