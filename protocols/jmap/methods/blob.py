"""RFC 9404 4.2, 4.3 Blob/get and Blob/lookup; RFC 8620 6.3 Blob/copy."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final

from protocols.jmap.blob_access import OpenBlob, find_blob, open_blob
from protocols.jmap.capabilities import DIGESTS, LOOKUP_TYPES, MAIL
from protocols.jmap.context import Context
from protocols.jmap.errors import MethodError, SetError, invalid_arguments
from protocols.jmap.refusals import set_error
from protocols.jmap.standard import Answer, read_properties
from protocols.jmap.values import Arguments
from storage import blob_links
from storage.ids import AccountId, BlobRef, EmailId
from storage.keys import TypeCode
from storage.mail.errors import MailError
from storage.mail.messages import visible_meta
from storage.mail.quota import check_room
from storage.plan import Plan
from storage.uploads import plan_upload

_DATA: Final = ("data", "data:asText", "data:asBase64")
_KNOWN: Final = frozenset(("id", "size", *_DATA, *(f"digest:{name}" for name in DIGESTS)))
_DEFAULT: Final = ("id", "data", "size")
# Read, and hashed, before other tasks have their turn.
_PIECE_OCTETS: Final = 1024 * 1024


async def blob_get(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 9404 4.2. All blobs of a call together give no more than one blob may have."""
    arguments = Arguments(raw)
    account = context.account(arguments)
    ids = _ids(context, arguments, "ids", context.limits.get_objects_max)
    names = arguments.strings("properties")
    properties = _DEFAULT if names is None else read_properties(names, _KNOWN.__contains__)
    offset, length = arguments.unsigned("offset") or 0, arguments.unsigned("length")
    arguments.done()
    found: list[dict[str, Any]] = []
    missing: list[str] = []
    octets_left = context.limits.upload_bytes_max
    for text in dict.fromkeys(ids):
        blob = open_blob(context, account, text)
        if blob is None:
            missing.append(text)
            continue
        wanted = max(0, blob.size - offset) if length is None else length
        if any(name not in ("id", "size") for name in properties):
            octets_left -= min(wanted, max(0, blob.size - offset))
        if octets_left < 0:
            raise MethodError("requestTooLarge", "the blobs are too large to be got at once")
        told = await _describe(context, blob, properties, offset, wanted)
        if offset + wanted > blob.size:
            told["isTruncated"] = True
        found.append({"id": context.resolve(text), **told})
    return {"accountId": f"a{account}", "list": found, "notFound": missing}


async def _describe(
    context: Context, blob: OpenBlob, properties: tuple[str, ...], offset: int, length: int
) -> dict[str, Any]:
    told: dict[str, Any] = {"size": blob.size} if "size" in properties else {}
    hashes = {name: hashlib.new(DIGESTS[name[7:]]) for name in properties if name[7:] in DIGESTS}
    keeps = any(name in _DATA for name in properties)
    if not hashes and not keeps:
        return told
    pieces: list[bytes] = []
    for at in range(offset, min(offset + length, blob.size), _PIECE_OCTETS):
        piece = blob.read(at, min(_PIECE_OCTETS, offset + length - at))
        for digest in hashes.values():
            digest.update(piece)
        if keeps:
            pieces.append(piece)
        await context.caller.pause()
    told |= {name: base64.b64encode(held.digest()).decode() for name, held in hashes.items()}
    return told | _data(b"".join(pieces), properties) if keeps else told


def _data(octets: bytes, properties: tuple[str, ...]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    wants_text = "data" in properties or "data:asText" in properties
    try:
        text = octets.decode() if wants_text else None
    except UnicodeDecodeError:
        text = None
        told["isEncodingProblem"] = True
    if "data:asText" in properties or (wants_text and text is not None):
        told["data:asText"] = text
    if "data:asBase64" in properties or ("data" in properties and text is None):
        told["data:asBase64"] = base64.b64encode(octets).decode()
    return told


async def blob_lookup(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 9404 4.3: what holds a blob, of the types asked for."""
    arguments = Arguments(raw)
    account = context.account(arguments)
    names = arguments.strings("typeNames")
    ids = _ids(context, arguments, "ids", context.limits.get_objects_max)
    arguments.done()
    if names is None:
        raise invalid_arguments("typeNames is missing")
    for name in names:
        if name not in LOOKUP_TYPES or MAIL not in context.using:
            raise MethodError("unknownDataType", f"no type {name[:100]!r} that refers to blobs")
    found = []
    # RFC 9404 4.3: who has no such blob gets an empty array for each type all the same; its
    # example (4.3.1) names such ids in notFound besides.
    unknown = []
    for text in dict.fromkeys(ids):
        ref = find_blob(context, account, text)
        if ref is None:
            unknown.append(context.resolve(text))
        matched = _matched(context, account, ref)
        held = {name: matched[name] for name in names}
        found.append({"id": context.resolve(text), "matchedIds": held})
        await context.caller.pause()
    return {"accountId": f"a{account}", "list": found, "notFound": unknown}


def _matched(context: Context, account: AccountId, ref: BlobRef | None) -> dict[str, list[str]]:
    emails: list[str] = []
    threads: dict[str, None] = {}
    mailboxes: dict[str, None] = {}
    holders = [] if ref is None else blob_links.holders(context.rows, account, ref.blob)
    for kind, number in holders:
        meta = visible_meta(context.rows, account, EmailId(number))
        if kind != TypeCode.EMAIL or meta is None:
            continue
        emails.append(f"e{number}")
        threads[f"t{meta.thread}"] = None
        mailboxes |= {f"m{mailbox}": None for mailbox, _ in meta.mailboxes}
    return {"Email": emails, "Thread": list(threads), "Mailbox": list(mailboxes)}


async def blob_copy(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8620 6.3: the account holds the blobs as if it had uploaded them now."""
    arguments = Arguments(raw)
    account = context.account(arguments)
    from_text = arguments.identifier("fromAccountId")
    ids = _ids(context, arguments, "blobIds", context.limits.set_objects_max)
    arguments.done()
    if from_text is None:
        raise invalid_arguments("fromAccountId is missing")
    if from_text != f"a{context.caller.principal.account}":
        raise MethodError("fromAccountNotFound")
    copied: dict[str, str] = {}
    refused: dict[str, dict[str, Any]] = {}
    for text in dict.fromkeys(ids):
        try:
            await _copy(context, account, text)
        except (SetError, MailError) as error:
            refused[text] = set_error(error).document()
        else:
            copied[text] = context.resolve(text)
    return {
        "fromAccountId": from_text,
        "accountId": f"a{account}",
        "copied": copied or None,
        "notCopied": refused or None,
    }


async def _copy(context: Context, account: AccountId, text: str) -> None:
    ref = find_blob(context, context.caller.principal.account, text)
    octets = None if ref is None else context.ports.blobs.size(ref.blob)
    if ref is None or octets is None or open_blob(context, account, text) is None:
        raise SetError("notFound", "there is no such blob")

    def command(plan: Plan) -> None:
        check_room(plan, account, octets)
        kept_max = context.limits.uploads_kept_max
        plan_upload(plan, account, ref.blob, octets, octets_max=kept_max)

    await context.write(account, command)


def _ids(context: Context, arguments: Arguments, name: str, most: int) -> list[str]:
    ids = arguments.ids(name)
    if ids is None:
        raise invalid_arguments(f"{name} is missing")
    if len(ids) > most:
        raise MethodError("requestTooLarge", f"{len(ids)} ids are too many")
    return ids
