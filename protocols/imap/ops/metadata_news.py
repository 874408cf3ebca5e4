"""METADATA that nobody asked for: which entries others have changed (RFC 5464 4.4.2).

Told after ENABLE METADATA, with the other news of a command or during IDLE, or as NOTIFY says
(RFC 5465 5.6, 5.7); names only.
"""

from protocols.imap.commands import Event
from protocols.imap.ops.context import Context
from protocols.imap.ops.listing import Named, named_mailboxes
from protocols.imap.ops.metadata import render_changed
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


def _is_told(context: Context, named: Named) -> bool:
    notified = context.notified
    return notified is None or Event.MAILBOX_METADATA_CHANGE in notified.events(
        named.mailbox, named.name
    )
