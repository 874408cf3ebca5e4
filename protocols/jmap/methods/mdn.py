"""RFC 9007: MDN/send and MDN/parse.

A receipt goes from the empty address (RFC 8098 3) to whom the message asks to be told, by the
same way out as any mail. The Email/set that marks the message follows, as for a submission.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from protocols.jmap.blob_access import read_blob
from protocols.jmap.context import Context
from protocols.jmap.envelopes import is_own
from protocols.jmap.errors import MethodError, SetError, invalid_arguments, invalid_properties
from protocols.jmap.plain import Check, is_text_or_null, read_new
from protocols.jmap.receipts import (
    ACTION_MODES,
    SENDING_MODES,
    TYPES,
    Receipt,
    header_of,
    is_extension_name,
    parse_receipt,
    report_of,
)
from protocols.jmap.sections import read_span
from protocols.jmap.standard import Answer
from protocols.jmap.values import Arguments, is_id, is_reference
from protocols.mime import headers
from protocols.mime.addresses import EmailAddress
from protocols.mime.build import build
from storage.addresses import AddressInvalid, fold_address
from storage.identities import Identity, get_identity
from storage.ids import AccountId, parse_email, parse_numbered
from storage.mail.messages import visible_meta
from storage.submissions import DELIVERED

MDN_SENT: Final = "$mdnsent"
# Addresses one message may ask to be told at.
TOLD_MAX: Final = 10

_MODES: Final = {"actionMode": ACTION_MODES, "sendingMode": SENDING_MODES, "type": TYPES}


def _is_disposition(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == _MODES.keys()
        and all(held in _MODES[name] for name, held in value.items())
    )


def _is_extension(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict)
        and all(is_extension_name(name) and isinstance(held, str) for name, held in value.items())
    )


_CHECKS: Final[Mapping[str, Check]] = {
    "forEmailId": lambda value: is_id(value) or is_reference(value),
    "subject": is_text_or_null,
    "textBody": is_text_or_null,
    "includeOriginalMessage": lambda value: isinstance(value, bool),
    "reportingUA": is_text_or_null,
    "disposition": _is_disposition,
    "finalRecipient": is_text_or_null,
    "extensionFields": _is_extension,
    "extension": _is_extension,  # as RFC 9007 3.1 writes it
}


def _account(context: Context, arguments: Arguments) -> AccountId:
    """RFC 9007 2.1, 2.2 have a type of their own for an account that is not there."""
    try:
        return context.account(arguments)
    except MethodError:
        raise invalid_arguments("there is no such account") from None


async def mdn_send(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 9007 2.1."""
    arguments = Arguments(raw)
    account = _account(context, arguments)
    identity_text = arguments.identifier("identityId") or ""
    wanted = arguments.objects("send")
    patches = arguments.patches("onSuccessUpdateEmail")
    arguments.done()
    number = parse_numbered("i", context.resolve(identity_text))
    identity = None if number is None else get_identity(context.rows, account, number)
    if identity is None:
        raise invalid_arguments("there is no such identity")
    if len(wanted) > context.limits.set_objects_max:
        raise MethodError("requestTooLarge", f"{len(wanted)} receipts are too many")
    sent: dict[str, dict[str, Any]] = {}
    refused: dict[str, dict[str, Any]] = {}
    update: dict[str, dict[str, Any]] = {}
    for creation, values in wanted.items():
        patch = patches.get(f"#{creation}", {})
        try:
            email, sent[creation] = await _send(context, account, identity, values, patch, update)
        except SetError as error:
            refused[creation] = error.document()
        else:
            update[email] = patch
    if update:
        context.imply("Email/set", {"accountId": f"a{account}", "update": update})
    return {"accountId": f"a{account}", "sent": sent or None, "notSent": refused or None}


def _marks(patch: Mapping[str, Any]) -> bool:
    """Whether an update sets $mdnsent, as it must (RFC 9007 2.1)."""
    whole = patch.get("keywords")
    if isinstance(whole, dict):
        return any(name.lower() == MDN_SENT and held is True for name, held in whole.items())
    return any(
        name.lower() == f"keywords/{MDN_SENT}" and held is True for name, held in patch.items()
    )


async def _send(
    context: Context,
    account: AccountId,
    identity: Identity,
    values: Mapping[str, Any],
    patch: Mapping[str, Any],
    update: Mapping[str, Any],
) -> tuple[str, dict[str, Any]]:
    """One receipt; the email it is for, and what is told of it. Raises SetError."""
    wish = read_new(values, _CHECKS)
    missing = [name for name in ("forEmailId", "disposition") if name not in wish]
    if missing:
        raise invalid_properties("a receipt is for an email, and has a disposition", *missing)
    if not _marks(patch):
        raise invalid_properties(f"onSuccessUpdateEmail does not set {MDN_SENT}", "forEmailId")
    number = parse_email(context.resolve(wish["forEmailId"]))
    meta = None if number is None else visible_meta(context.rows, account, number)
    if meta is None:
        raise SetError("notFound", "there is no such email")
    if MDN_SENT in meta.keywords or f"e{meta.id}" in update:
        raise SetError("mdnAlreadySent", f"{MDN_SENT} is set already")
    original = read_span(context.ports.blobs, meta.blob, 0, meta.size)
    fields = headers.split(original, *headers.block_end(original, 0, len(original)))
    recipients = _recipients(fields)
    final = _final_recipient(context, account, wish.get("finalRecipient"), identity)
    receipt = _receipt(wish, fields, final)
    message = _build(context, receipt, identity, recipients, wish, original)
    addresses = [each.email for each in recipients]
    answers = await context.ports.submitter.hand_over(
        context.ports, account, "", addresses, message
    )
    context.refresh()
    if not any(delivered == DELIVERED for delivered, _ in answers.values()):
        raise SetError("forbidden", "; ".join(reply for _, reply in answers.values()))
    return f"e{meta.id}", _told(receipt, wish)


def _recipients(fields: list[headers.Header]) -> list[EmailAddress]:
    asked = headers.last(fields, "disposition-notification-to")
    found: dict[str, EmailAddress] = {}
    for each in [] if asked is None else headers.as_addresses(asked.raw):
        try:
            found.setdefault(fold_address(each.email), each)
        except AddressInvalid:
            continue
    if not found:
        raise SetError("notFound", "the email does not say whom to tell")
    return list(found.values())[:TOLD_MAX]


def _final_recipient(
    context: Context, account: AccountId, given: str | None, identity: Identity
) -> str:
    """RFC 8098 3.2.4: address type and address."""
    if given is None:
        return f"rfc822; {identity.email}"
    type_, semicolon, address = given.rpartition(";")
    address = address.strip()
    if (semicolon and type_.strip().lower() != "rfc822") or not is_own(context, account, address):
        raise SetError("forbiddenFrom", "finalRecipient is not an address of yours")
    return f"rfc822; {address}"


def _receipt(wish: Mapping[str, Any], fields: list[headers.Header], final: str) -> Receipt:
    disposition = wish["disposition"]
    about = headers.last(fields, "subject")
    topic = "" if about is None else headers.as_text(about.raw)
    message_id = headers.last(fields, "message-id")
    intended = headers.last(fields, "original-recipient")
    kind = disposition["type"]
    return Receipt(
        subject=wish.get("subject") or f"{kind.capitalize()}: {topic}",
        text=wish.get("textBody") or f"The message has been {kind}.\n",
        disposition=(disposition["actionMode"], disposition["sendingMode"], kind),
        final_recipient=final,
        reporting_ua=wish.get("reportingUA"),
        original_recipient=None if intended is None else headers.as_text(intended.raw).strip(),
        original_message_id=None
        if message_id is None
        else headers.as_raw(message_id.raw).strip() or None,
        extension=wish.get("extensionFields") or wish.get("extension"),
    )


def _build(
    context: Context,
    receipt: Receipt,
    identity: Identity,
    recipients: list[EmailAddress],
    wish: Mapping[str, Any],
    original: bytes,
) -> bytes:
    ports = context.ports
    token = f"{ports.chance.getrandbits(96):024x}"
    message = build(
        header_of(receipt, EmailAddress(identity.name or None, identity.email), recipients),
        report_of(receipt, original if wish.get("includeOriginalMessage") else None),
        message_id=f"{token}@{ports.hostname}",
        date=datetime.fromtimestamp(ports.clock.now_ms() // 1000, UTC),
        boundary_token=token,
    )
    most = context.limits.submission_bytes_max
    if len(message) > most:
        raise SetError("tooLarge", f"a receipt of over {most} octets is not sent", maxSize=most)
    return message


def _told(receipt: Receipt, wish: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 9007 2.1: what the client did not set."""
    told = {
        "subject": receipt.subject,
        "textBody": receipt.text,
        "includeOriginalMessage": False,
        "reportingUA": None,
        "mdnGateway": None,
        "originalRecipient": receipt.original_recipient,
        "finalRecipient": receipt.final_recipient,
        "originalMessageId": receipt.original_message_id,
        "error": None,
        "extensionFields": None,
    }
    return {name: value for name, value in told.items() if wish.get(name) is None}


async def mdn_parse(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 9007 2.2."""
    arguments = Arguments(raw)
    account = _account(context, arguments)
    ids = arguments.ids("blobIds")
    arguments.done()
    if ids is None:
        raise invalid_arguments("blobIds is missing")
    if len(ids) > context.limits.get_objects_max:
        raise MethodError("requestTooLarge", f"{len(ids)} blobs are too many")
    parsed: dict[str, dict[str, Any]] = {}
    broken: list[str] = []
    missing: list[str] = []
    for text in dict.fromkeys(map(context.resolve, ids)):
        message = read_blob(context, account, text)
        if message is None:
            missing.append(text)
            continue
        told = parse_receipt(message)
        if told is None:
            broken.append(text)
        else:
            parsed[text] = told
        await context.caller.pause()
    return {
        "accountId": f"a{account}",
        "parsed": parsed or None,
        "notParsable": broken or None,
        "notFound": missing or None,
    }
