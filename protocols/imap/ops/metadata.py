"""GETMETADATA and SETMETADATA (RFC 5464), and what LIST tells of annotations (RFC 9590).

Annotations are rows of the account whose mailbox it is (storage/mail/annotations.py), those too
that another user keeps there under /private/. What is shared of the server as a whole belongs to
nobody's account, so nobody sets it here: there is /shared/admin, where mail to postmaster arrives.
"""

import re
from collections.abc import Sequence
from typing import Final

from protocols.errors import RemoteProtocolError
from protocols.imap.metadata import Entry, GetMetadata, SetMetadata
from protocols.imap.ops.context import Context
from protocols.imap.ops.places import SPECIAL_USE, find, need
from protocols.imap.responses import Ending, no, ok, render_mailbox
from protocols.imap.search_keys import parse_search_keys
from protocols.render.strings import render_nstring, render_string
from storage.engine import Rows
from storage.ids import AccountId, MailboxId
from storage.mail import mailboxes
from storage.mail.annotations import (
    SHARED,
    VALUE_BYTES_MAX,
    WHOLE_ACCOUNT,
    annotations,
    plan_annotate,
)
from storage.mail.errors import (
    AnnotationTooLarge,
    MailboxNotFound,
    NoPermission,
    TooManyAnnotations,
)
from storage.plan import Plan

# RFC 5466 3.2: what is below is a search by name.
FILTERS: Final = "/filters/values/"
_ADMIN: Final = "/admin"
# RFC 6154 4: not a text like others, for a use must be one that there is and one mailbox's.
_SPECIAL_USE: Final = "/specialuse"
# RFC 5464 3.3: with "l" and one of these, annotations are read, and one's own set. To set those
# that all share takes "w" here, as a mailbox's other properties that all share do.
_ANY_OF: Final = frozenset("rswip")
_ATOM: Final = re.compile(rb"[A-Za-z0-9/._-]+\Z")

Found = tuple[bytes, bytes | None]
"""An entry as it is told, and its value; None where there is none."""


def may_annotate(rights: str, *, shared: bool = False) -> bool:
    """Whether these rights let annotations be read and set; `shared`: set for all."""
    return not _ANY_OF.isdisjoint(rights) and ("w" in rights or not shared)


def _find(
    rows: Rows, me: AccountId, name: str, *, shared: bool = False
) -> tuple[AccountId, MailboxId]:
    """Whose mailbox it is, and which; for "" the account as a whole."""
    if not name:
        return me, WHOLE_ACCOUNT
    place = find(rows, me, name)
    found = need(place, "l")
    if not may_annotate(place.rights, shared=shared):
        raise NoPermission("Permission denied")
    return place.account, found.id


async def get_metadata(context: Context, command: GetMetadata) -> Ending:
    """RFC 5464 4.2."""
    view = await context.barrier()
    holder, mailbox = _find(view, context.account, command.mailbox)
    found = find_entries(context, view, holder, mailbox, command.entries, command.depth)
    longest = 0
    if command.size_max is not None:
        sizes = [len(value) for _, value in found if value is not None]
        longest = max((size for size in sizes if size > command.size_max), default=0)
        found = [one for one in found if one[1] is None or len(one[1]) <= command.size_max]
    if found:
        context.out.add(render_metadata(command.mailbox, found, utf8=context.utf8))
    code = b"METADATA LONGENTRIES %d" % longest if longest else None
    return ok("GETMETADATA completed", code)


def find_entries(
    context: Context,
    rows: Rows,
    holder: AccountId,
    mailbox: MailboxId,
    entries: Sequence[Entry],
    depth: int | None = 0,
) -> list[Found]:
    """The values asked for of one of the holder's mailboxes, each once, those not there as None;
    and what is below them."""
    scopes = (True, False)
    held = {shared: _held(context, rows, holder, mailbox, shared=shared) for shared in scopes}
    found: dict[tuple[bool, str], Found] = {}
    for entry in entries:
        values = held[entry.shared]
        if depth == 0 or entry.name in values:
            found[entry.shared, entry.name] = entry.spelled, values.get(entry.name)
        if depth == 0:
            continue
        below = entry.name + "/"
        for name, value in values.items():
            near = depth is None or "/" not in name[len(below) :]
            if name.startswith(below) and near:
                shown = entry.spelled + name[len(entry.name) :].encode("ascii")
                found.setdefault((entry.shared, name), (shown, value))
    return list(found.values())


def _held(
    context: Context, rows: Rows, holder: AccountId, mailbox: MailboxId, *, shared: bool
) -> dict[str, bytes]:
    me = context.account
    held = annotations(rows, holder, mailbox, SHARED if shared else me)
    if not shared and holder == me and (use := _use(rows, me, mailbox)) is not None:
        held[_SPECIAL_USE] = use
    if shared and mailbox == WHOLE_ACCOUNT:
        assert context.principal is not None
        _, _, domain = context.principal.address.rpartition("@")
        postmaster = f"postmaster@{domain}"
        if context.ports.directory.is_known(context.local(), postmaster):
            held[_ADMIN] = f"mailto:{postmaster}".encode()
    return held


def _use(rows: Rows, me: AccountId, mailbox: MailboxId) -> bytes | None:
    """RFC 6154 4: /private/specialuse is what LIST says; another's mailbox has no use for one."""
    found = None if mailbox == WHOLE_ACCOUNT else mailboxes.get_mailbox(rows, me, mailbox)
    return None if found is None else SPECIAL_USE.get(found.role or "")


def render_metadata(name: str, found: Sequence[Found], *, utf8: bool) -> bytes:
    """RFC 5464 4.4.1: METADATA with values; binary ones as literal8."""
    pairs = []
    for entry, value in found:
        shown = render_nstring(value)
        if value is not None and b"\0" in value:
            shown = b"~{%d}\r\n%b" % (len(value), value)
        pairs.append(b"%b %b" % (_astring(entry), shown))
    return b"* METADATA %b (%b)\r\n" % (_mailbox(name, utf8=utf8), b" ".join(pairs))


def render_changed(name: str, entries: Sequence[bytes], *, utf8: bool) -> bytes:
    """RFC 5464 4.4.2: METADATA without values."""
    listed = b" ".join(map(_astring, entries))
    return b"* METADATA %b %b\r\n" % (_mailbox(name, utf8=utf8), listed)


def _astring(entry: bytes) -> bytes:
    return entry if _ATOM.match(entry) else render_string(entry)


def _mailbox(name: str, *, utf8: bool) -> bytes:
    return render_mailbox(name, utf8=utf8) if name else b'""'


def read_filter(context: Context, name: str) -> bytes | None:
    """RFC 5466 3.1: the text of a filter, the user's own before one that all share."""
    for shared in (False, True):
        held = _held(context, context.local(), context.account, WHOLE_ACCOUNT, shared=shared)
        if (text := held.get(FILTERS + name)) is not None:
            return text
    return None


def _searches(value: bytes | None) -> bool:
    """RFC 5466 3.2: a full and correct search, or none any more."""
    try:
        return value is None or parse_search_keys(value) is not None
    except RemoteProtocolError:
        return False


async def set_metadata(context: Context, command: SetMetadata) -> Ending:
    """RFC 5464 4.3: all of it, or nothing."""
    account = context.account
    shared = any(entry.shared for entry, _ in command.values)
    if not command.mailbox and shared:
        return no("What all users of the server share is set by its administrator", b"NOPERM")
    values: dict[bool, dict[str, bytes | None]] = {}
    for entry, value in command.values:
        if not command.mailbox and entry.name.startswith(FILTERS) and not _searches(value):
            return no("The filter is not a search", b"CANNOT")
        if entry.name == _SPECIAL_USE:
            return no("A mailbox gets its use when it is made", b"USEATTR")
        values.setdefault(entry.shared, {})[entry.name] = value

    holder, _ = _find(await context.barrier(), account, command.mailbox, shared=shared)

    def plan_set(plan: Plan) -> None:
        still, mailbox = _find(plan, account, command.mailbox, shared=shared)
        if still != holder:
            raise MailboxNotFound("No such mailbox")
        for for_all, some in values.items():
            plan_annotate(plan, holder, mailbox, SHARED if for_all else account, some)

    try:
        await context.ports.writer.write(holder, plan_set)
    except AnnotationTooLarge as error:
        return no(str(error), b"METADATA MAXSIZE %d" % VALUE_BYTES_MAX)
    except TooManyAnnotations as error:
        return no(str(error), b"METADATA TOOMANY")
    return ok("SETMETADATA completed")
