"""RFC 8621 4.9 Email/parse: blobs read as messages, without becoming emails."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from protocols.jmap.blob_access import find_blob
from protocols.jmap.context import Context
from protocols.jmap.email_bodies import BodyReader, ParsedMessage
from protocols.jmap.errors import MethodError, invalid_arguments
from protocols.jmap.methods.email_get import EMAIL_DEFAULTS, is_email_property, read_body_options
from protocols.jmap.methods.email_import import is_message
from protocols.jmap.sections import read_ref
from protocols.jmap.standard import Answer
from protocols.jmap.values import Arguments
from protocols.mime.envelope import summarise
from protocols.render.list_json import encode_value, render_list
from storage.ids import BlobRef
from storage.mail.records import LIST_PROPERTIES

# RFC 8621 4.9: the properties when none are named are those of Email/get that a message has.
_OF_EMAILS: Final = frozenset(
    ("id", "blobId", "threadId", "mailboxIds", "keywords", "size", "receivedAt")
)
_DEFAULTS: Final = tuple(name for name in EMAIL_DEFAULTS if name not in _OF_EMAILS)


async def email_parse(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 4.9."""
    arguments = Arguments(raw)
    account = context.account(arguments)
    ids = arguments.ids("blobIds")
    names = arguments.strings("properties")
    reader = BodyReader(read_body_options(arguments))
    arguments.done()
    if ids is None:
        raise invalid_arguments("blobIds is missing")
    if len(ids) > context.limits.get_objects_max:
        raise MethodError("requestTooLarge", f"{len(ids)} blobs are too many")
    properties = _DEFAULTS if names is None else tuple(dict.fromkeys(names))
    for name in properties:
        if not is_email_property(name):
            raise invalid_arguments(f"there is no property {name[:200]!r}")
    parsed: dict[str, msgspec.Raw] = {}
    unparsable: list[str] = []
    missing: list[str] = []
    for text in dict.fromkeys(map(context.resolve, ids)):
        ref = find_blob(context, account, text)
        message = None if ref is None else read_ref(context.ports.blobs, ref)
        if ref is None or message is None:
            missing.append(text)
        elif not is_message(message):
            unparsable.append(text)
        else:
            told = _render(message, ref, text, properties, reader)
            parsed[text] = msgspec.Raw(told)
        await context.caller.pause()
    return {
        "accountId": f"a{account}",
        "parsed": parsed or None,
        "notParsable": unparsable or None,
        "notFound": missing or None,
    }


def _render(
    data: bytes, ref: BlobRef, blob_id: str, properties: tuple[str, ...], reader: BodyReader
) -> bytes:
    summary = summarise(data)
    listed = dict(zip(LIST_PROPERTIES, render_list(summary), strict=True))
    message = ParsedMessage(data, ref, summary.root)
    members: list[bytes] = []
    for name in properties:
        if name in listed:
            value = listed[name]
        elif name in _OF_EMAILS:
            known = {"blobId": blob_id, "size": len(data)}
            value = msgspec.json.encode(known.get(name))
        else:
            read = reader.property_reader(name)
            assert read is not None, name
            value = encode_value(read(message))
        members.append(msgspec.json.encode(name) + b":" + value)
    return b"{" + b",".join(members) + b"}"
