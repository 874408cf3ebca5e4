"""URLFETCH (RFC 4467 7, RFC 5524): what URLs give, one after the other in one response.

Each URL is looked at when its turn comes, so that a right which goes meanwhile counts. What gives
nothing is NIL, whatever the reason. Nothing becomes \\Seen, and no selected mailbox is touched.
"""

from dataclasses import replace
from typing import Final

import trio

from protocols.imap.fetch_commands import Section, SectionText
from protocols.imap.ops.bodies import (
    BrokenOff,
    Message,
    MessageGone,
    UnknownEncoding,
    add_section,
    close_message,
    open_message,
    read_section,
    section_bytes_max,
)
from protocols.imap.ops.context import Context
from protocols.imap.ops.urlauth import Redeemed, redeem
from protocols.imap.ops.views import decode_view
from protocols.imap.responses import Ending, ok
from protocols.imap.url_commands import UrlFetch, UrlItem, WantedUrl
from protocols.ports import READ_BYTES_MAX, Damaged, Unavailable
from protocols.render.bodystructure import render_decoded, render_header_structure, render_part
from protocols.render.strings import NIL, render_string
from storage.keys import email_view_key
from storage.mail.records import UidRow
from storage.mail.uids import uid_row

_FIELDS: Final = frozenset({SectionText.FIELDS, SectionText.FIELDS_NOT})
_HEADERS: Final = _FIELDS | {SectionText.HEADER, SectionText.MIME}


async def url_fetch(context: Context, command: UrlFetch) -> Ending:
    """RFC 4467 7: OK, and a URL by itself says whether it gave something."""
    await context.barrier()
    start = b"* URLFETCH "
    try:
        for wanted in command.urls:
            await _tell(context, wanted, start)
            start = b" "
            if context.out.full:
                await context.out.flush()
            else:
                await trio.lowlevel.checkpoint()
    except Unavailable:  # what was said before is whole
        if start == b" ":
            context.out.add(b"\r\n")
        raise
    context.out.add(b"\r\n")
    return ok("URLFETCH completed")


async def _tell(context: Context, wanted: WantedUrl, start: bytes) -> None:
    """What the URL gives, or NIL. Raises Unavailable, and Damaged, with nothing said, else
    BrokenOff."""
    mark, named = context.out.mark(), start + render_string(wanted.text)
    try:
        found = _find(context, wanted)
        if found is not None and await _tell_found(context, *found, wanted, named):
            return
    except (MessageGone, Damaged) as error:
        if not context.out.take_back(mark):
            raise BrokenOff from error
        if isinstance(error, Damaged):
            raise
        if _find(context, wanted) is not None:
            raise Damaged("a message has no octets") from error
    context.out.add(named + b" NIL")


def _find(context: Context, wanted: WantedUrl) -> tuple[Redeemed, UidRow] | None:
    """What the URL is about, and the message's row; None: nothing."""
    rows = context.local()
    found = redeem(context, rows, wanted.text)
    row = None if found is None else uid_row(rows, found.account, found.mailbox, found.uid)
    return None if found is None or row is None else (found, row)


async def _tell_found(
    context: Context, found: Redeemed, row: UidRow, wanted: WantedUrl, start: bytes
) -> bool:
    """False: the message has gone, or has no such part. Raises MessageGone, Unavailable."""
    section, is_known = found.section, True
    if UrlItem.BINARY in wanted.items:
        section = replace(section, decoded=True)
    try:
        message = await _open(context, found, row, section)
    except UnknownEncoding:  # RFC 5524 3.2: no data, and the structure as it is
        is_known = False
        message = await _open(context, found, row, replace(section, decoded=False))
    if message is None or section_bytes_max(message, section) is None:
        return False
    try:
        if UrlItem.STRUCTURE in wanted.items:
            structure = await _structure(context, found, row, message)
            start += b" (BODYPARTSTRUCTURE %b)" % structure
        item = next(iter(wanted.items - {UrlItem.STRUCTURE}), None)
        if not is_known:
            context.out.add(start + b" (BINARY NIL)")
        elif item is not None:
            label = b"%b (%b" % (start, item.value)
            await _add_data(context, message, replace(section, label=label))
            context.out.add(b")")
        elif wanted.items:
            context.out.add(start)
        else:
            await _add_data(context, message, replace(section, label=start))
    finally:
        close_message(context, message)
    return True


async def _open(context: Context, found: Redeemed, row: UidRow, section: Section) -> Message | None:
    """The message, and its part decoded; header fields, and what stands around, have no encoding.

    Raises UnknownEncoding, Unavailable.
    """
    decodes = section.decoded and section.text is SectionText.WHOLE
    return await open_message(context, found.account, row, [replace(section, decoded=decodes)])


async def _add_data(context: Context, message: Message, section: Section) -> None:
    """The section's label and octets; what holds NUL, and only that, is a literal8 (RFC 5524 5)."""
    if section.decoded and _is_large(message, section):
        section = replace(section, decoded=await _holds_nul(context, message, section))
    await add_section(context, message, section)


def _is_large(message: Message, section: Section) -> bool:
    """It is sent in pieces, so that its label is said before all of it is read."""
    if section.text in _FIELDS or section.path in message.decoded:
        return False
    return (section_bytes_max(message, section) or 0) > READ_BYTES_MAX


async def _holds_nul(context: Context, message: Message, section: Section) -> bool:
    start = section.partial[0] if section.partial is not None else 0
    end = start + (section_bytes_max(message, section) or 0)
    for at in range(start, end, READ_BYTES_MAX):
        piece = replace(section, partial=(at, min(READ_BYTES_MAX, end - at)))
        if b"\0" in await read_section(context, message, piece):
            return True
        await trio.lowlevel.checkpoint()
    return False


async def _structure(context: Context, found: Redeemed, row: UidRow, message: Message) -> bytes:
    """RFC 5524 3.2 BODYPARTSTRUCTURE: of the part, whatever range of it the URL is about.

    Of a whole message it is its BODYSTRUCTURE, of fields that of a text of fields.
    """
    section = replace(found.section, partial=None)
    if section.text in _HEADERS:
        return await _structure_of_fields(context, message, section)
    held = context.local().get(email_view_key(found.account, row.email))
    if held is None:
        return NIL
    whole, embedded = decode_view(held).bodystructure, section.text is SectionText.TEXT
    structure = render_part(whole, section.path, message=embedded)
    if structure is None:
        return NIL
    decoded = None if embedded else message.decoded.get(section.path)
    if decoded is None:
        return structure
    return render_decoded(structure, len(decoded), decoded.count(b"\n"))


async def _structure_of_fields(context: Context, message: Message, section: Section) -> bytes:
    size = section_bytes_max(message, section) or 0
    if not context.door.room.take(size):
        raise Unavailable("too many large messages at once")
    try:
        fields = await read_section(context, message, section)
    finally:
        context.door.room.give(size)
    return render_header_structure(len(fields), fields.count(b"\n"), ascii_only=fields.isascii())
