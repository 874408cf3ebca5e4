"""METADATA that nobody asked for: which entries others have changed (RFC 5464 4.4.2).

Told after ENABLE METADATA, with the other news of a command or during IDLE, or as NOTIFY says
(RFC 5465 5.6, 5.7); names only. Of others' mailboxes it is told as NOTIFY says alone.
"""

from protocols.imap.commands import Event
from protocols.imap.notified import Lent
from protocols.imap.ops.context import Context
from protocols.imap.ops.listing import Named, named_mailboxes
from protocols.imap.ops.metadata import may_annotate, render_changed
from storage.ids import MailboxId
from storage.mail.annotations import SHARED, WHOLE_ACCOUNT, changed_since, last_change


def tell_metadata(context: Context) -> None:
    """Say what has changed since it was last said, but for what this connection did itself."""
    seen = context.metadata_seen
    if seen is None:
        return
    rows, account = context.local(), context.account
    last = last_change(rows, account)
    if last <= seen:
        return
    context.metadata_seen = last
    own = context.own_of(account)
    changed: dict[int, list[bytes]] = {}
    for mailbox, reader, name, version in changed_since(rows, account, seen):
        if reader in (SHARED, account) and version not in own:
            scope = b"/shared" if reader == SHARED else b"/private"
            changed.setdefault(mailbox, []).append(scope + name.encode("ascii"))
    if not changed:
        return
    named = named_mailboxes(rows, account)
    names = {one.mailbox.id: one.name for one in named if _is_told(context, one)}
    if context.notified is None or context.notified.server_metadata:
        names[WHOLE_ACCOUNT] = ""
    for number, entries in changed.items():
        if (whole := names.get(MailboxId(number))) is not None:
            context.out.add(render_changed(whole, entries, utf8=context.utf8))


def tell_metadata_of(context: Context, was: Lent, now: Lent) -> None:
    """RFC 5465 5.6: the same of what another shares, between two looks at it."""
    notified, rows, owner = context.notified, context.local(), now.owner
    told = was.stamp[0]
    if notified is None or last_change(rows, owner) <= told:
        return
    own = context.own_of(owner)
    changed: dict[str, list[bytes]] = {}
    for mailbox, reader, name, version in changed_since(rows, owner, told):
        shared = now.boxes.get(mailbox)
        if shared is None or version > now.stamp[0] or version in own:
            continue
        if reader not in (SHARED, context.account) or not may_annotate(shared.rights):
            continue
        asked = notified.events_of_other(shared.mailbox, shared.name)
        if Event.MAILBOX_METADATA_CHANGE in asked:
            scope = b"/shared" if reader == SHARED else b"/private"
            changed.setdefault(shared.name, []).append(scope + name.encode("ascii"))
    for whole, entries in changed.items():
        context.out.add(render_changed(whole, entries, utf8=context.utf8))


def _is_told(context: Context, named: Named) -> bool:
    notified = context.notified
    return notified is None or Event.MAILBOX_METADATA_CHANGE in notified.events(
        named.mailbox, named.name
    )
