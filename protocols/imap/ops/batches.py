"""UIDBATCHES (RFC 10022): the selected mailbox as it is now."""

from protocols.imap.batches import (
    BATCH_MESSAGES_MIN,
    BATCHES_MAX,
    UidBatches,
    batches,
    count_batches,
)
from protocols.imap.ops.catching_up import catch_up
from protocols.imap.ops.context import Context
from protocols.imap.responses import Ending, bad, no, ok
from protocols.render.strings import render_string


async def uid_batches(context: Context, command: UidBatches) -> Ending:
    """RFC 10022 3.1; what a search has saved stays as it is."""
    if command.size < BATCH_MESSAGES_MIN:
        return no(f"Batches are of {BATCH_MESSAGES_MIN} messages at least", b"TOOFEW")
    if command.last is not None and command.last < command.first:
        return bad("The first of the batches comes first", b"CLIENTBUG")
    most = context.door.message_limit
    if 0 < most < command.size:  # RFC 10022 3.4: no command could work on one
        return no("Batches are too large", b"MESSAGELIMIT %d" % most)
    await context.reading()
    await catch_up(context, expunges=True)
    uids = context.mailbox.uids
    if count_batches(len(uids), command) > BATCHES_MAX:
        return no(f"{BATCHES_MAX} batches are told at a time; name some", b"TOOMANY")
    told = b",".join(b"%d:%d" % batch for batch in batches(uids, command))
    tag = render_string(context.tag)
    context.out.add(b"* UIDBATCHES (TAG %b)%b%b\r\n" % (tag, b" " if told else b"", told))
    return ok("UIDBATCHES completed")
