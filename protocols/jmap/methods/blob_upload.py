"""RFC 9404 4.1 Blob/upload: blobs made of text, of base64, and of ranges of others.

Each is made by itself, after those it refers to, so that no more than one is in memory.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from protocols.jmap.blob_access import open_blob
from protocols.jmap.context import Context
from protocols.jmap.errors import MethodError, SetError, invalid_arguments, invalid_properties
from protocols.jmap.plain import is_text_or_null
from protocols.jmap.refusals import set_error
from protocols.jmap.standard import Answer
from protocols.jmap.values import Arguments, is_unsigned
from storage.ids import AccountId, blob_id, render_blob
from storage.mail.errors import MailError
from storage.mail.quota import check_room
from storage.plan import Plan
from storage.uploads import plan_upload

TYPE_DEFAULT: Final = "application/octet-stream"
# What one call may make, in the largest blobs there may be: ranges multiply what is sent.
CALL_BLOBS_MAX: Final = 4

_RANGE: Final = frozenset(("blobId", "offset", "length"))


async def blob_upload(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 9404 4.1."""
    arguments = Arguments(raw)
    account = context.account(arguments)
    if arguments.raw("create") is None:
        raise invalid_arguments("create is missing")
    wanted = arguments.objects("create")
    arguments.done()
    if len(wanted) > context.limits.set_objects_max:
        raise MethodError("requestTooLarge", f"{len(wanted)} blobs are too many")
    created: dict[str, dict[str, Any]] = {}
    refused: dict[str, dict[str, Any]] = {}
    octets_left = CALL_BLOBS_MAX * context.limits.upload_bytes_max
    for creation in _order(wanted):
        try:
            data = await _read(context, account, wanted[creation], octets_left)
            await _keep(context, account, data)
        except (SetError, MailError) as error:
            refused[creation] = set_error(error).document()
        else:
            octets_left -= len(data)
            name = render_blob(blob_id(data))
            context.created_ids[creation] = name
            type_ = wanted[creation].get("type") or TYPE_DEFAULT
            created[creation] = {"id": name, "type": type_, "size": len(data)}
    return {
        "accountId": f"a{account}",
        "created": created or None,
        "notCreated": refused or None,
    }


def _order(wanted: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Those that others refer to come first; a circle is left to fail by itself."""
    order: list[str] = []
    waiting = {creation: _references(values) for creation, values in wanted.items()}
    while waiting:
        free = [one for one, needs in waiting.items() if not (needs & waiting.keys())]
        for one in free or list(waiting):
            order.append(one)
            del waiting[one]
    return order


def _references(values: Mapping[str, Any]) -> set[str]:
    sources = values.get("data")
    if not isinstance(sources, list):
        return set()
    texts = [source.get("blobId") for source in sources if isinstance(source, dict)]
    return {text[1:] for text in texts if isinstance(text, str) and text.startswith("#")}


async def _read(
    context: Context, account: AccountId, values: Mapping[str, Any], octets_left: int
) -> bytes:
    """The octets of an UploadObject; raises SetError."""
    sources = values.get("data")
    if values.keys() - {"data", "type"} or not is_text_or_null(values.get("type")):
        raise invalid_properties("an upload has data and a type", *sorted(values))
    if not isinstance(sources, list):
        raise invalid_properties("data is no array of sources", "data")
    if len(sources) > context.limits.blob_sources_max:
        most = context.limits.blob_sources_max
        raise SetError("tooLarge", f"more than {most} sources", properties=("data",))
    pieces: list[bytes] = []
    octets = 0
    for source in sources:
        pieces.append(_source(context, account, source))
        octets += len(pieces[-1])
        if octets > min(context.limits.upload_bytes_max, octets_left):
            raise SetError("tooLarge", "the blob is too large", properties=("data",))
        await context.caller.pause()
    return b"".join(pieces)


def _source(context: Context, account: AccountId, source: Any) -> bytes:
    match source:
        case {"data:asText": str() as text, **rest} if not rest:
            return text.encode()
        case {"data:asBase64": str() as digits, **rest} if not rest:
            try:
                return base64.b64decode(digits, validate=True)
            except (binascii.Error, ValueError):
                raise invalid_properties("a source is no base64", "data") from None
        case {"blobId": str() as text, **rest} if not rest.keys() - _RANGE:
            return _range(context, account, text, rest.get("offset"), rest.get("length"))
        case _:
            raise invalid_properties("a source is one of text, base64 and a range", "data")


def _range(context: Context, account: AccountId, text: str, offset: Any, length: Any) -> bytes:
    if not all(value is None or is_unsigned(value) for value in (offset, length)):
        raise invalid_properties("offset or length is no UnsignedInt", "data")
    blob = open_blob(context, account, text)
    if blob is None:
        raise SetError("blobNotFound", "there is no such blob", notFound=[text])
    start = offset or 0
    wanted = blob.size - start if length is None else length
    if wanted < 0 or start + wanted > blob.size:
        raise invalid_properties("a range is outside its blob", "data")
    if wanted > context.limits.upload_bytes_max:
        raise SetError("tooLarge", "the blob is too large", properties=("data",))
    return blob.read(start, wanted)


async def _keep(context: Context, account: AccountId, data: bytes) -> None:
    def command(plan: Plan) -> None:
        check_room(plan, account, len(data))
        kept_max = context.limits.uploads_kept_max
        plan_upload(plan, account, blob_id(data), len(data), octets_max=kept_max)

    await context.write(account, command, blobs=(data,))
