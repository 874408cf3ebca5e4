"""GENURLAUTH, RESETKEY, and what a URL that is presented gives (RFC 4467, RFC 5092 6.1, RFC 5593).

A token is a MAC of the URL as it came, under the key that its maker has for the mailbox
(storage/mail/url_keys.py): the mailbox itself and not its name, so a URL of one that was renamed or
made anew gives nothing. A URL gives no more than its maker may still see, and nothing that is
refused says why. Who makes one speaks for himself: there are no keys of others to use.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from protocols.errors import RemoteProtocolError
from protocols.imap.fetch_commands import Section
from protocols.imap.ops.context import Context
from protocols.imap.ops.places import Place, find, needed, still
from protocols.imap.responses import Ending, bad, ok, untagged_ok
from protocols.imap.url_commands import GenUrlAuth, ResetKey
from protocols.imap.urls import Access, AuthorizedUrl, parse_authorized
from protocols.render.strings import render_string
from storage.accounts import by_address
from storage.engine import Rows
from storage.ids import AccountId, MailboxId
from storage.mail.url_keys import (
    KEY_OCTETS,
    last_reset,
    plan_reset_all_url_keys,
    plan_reset_url_key,
    plan_url_key,
    reset_at,
    url_key,
)
from storage.plan import Plan

INTERNAL: Final = b"INTERNAL"
# RFC 4467 2.4.1: what a token begins with says how the rest was made: by HMAC-SHA-256.
_ALGORITHM: Final = b"01"
# RFC 5593 6: those there are; an operator may add others (Door.url_applications).
_APPLICATIONS: Final = frozenset({"submit", "user", "authuser", "anonymous", "stream"})
# What stands before the URL in a token that is not to be valid: no URL begins so.
_NOBODY: Final = b"\0"


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What a URL that was presented is about."""

    account: AccountId
    mailbox: MailboxId
    uid: int
    section: Section


def redeem(context: Context, rows: Rows, text: bytes) -> Redeemed | None:
    """What the one who presents a URL gets for it; None: nothing.

    The same is calculated for a mailbox that is not there (RFC 4467 6).
    """
    decoy = context.ports.chance.randbytes(KEY_OCTETS)
    try:
        url = parse_authorized(text)
    except RemoteProtocolError:
        return None
    if url.verifier is None or url.verifier.mechanism != INTERNAL:
        return None
    user = by_address(rows, url.user)
    place = None if user is None else _place(rows, user, url)
    key = None
    if user is not None and place is not None and place.mailbox is not None:
        key = url_key(rows, user, place.account, place.mailbox.id)
    expected = _token(decoy if key is None else key, url.rump)
    is_true = hmac.compare_digest(expected, url.verifier.token.lower())
    if key is None or not is_true or place is None or place.mailbox is None:
        return None
    if url.expires_ms is not None and context.ports.clock.now_ms() > url.expires_ms:
        return None
    if "r" not in place.rights or not _may_use(context, rows, url.access):
        return None
    return Redeemed(place.account, place.mailbox.id, url.message.uid, url.message.section)


def _place(rows: Rows, user: AccountId, url: AuthorizedUrl) -> Place | None:
    """What the mailbox's name is to the user; None: nothing, or none of this UIDVALIDITY."""
    assert url.message.mailbox is not None, "an absolute URL names one"
    place = find(rows, user, url.message.mailbox)
    if place.mailbox is None or url.message.uidvalidity not in (None, place.mailbox.uidvalidity):
        return None
    return place


def _may_use(context: Context, rows: Rows, access: Access) -> bool:
    """RFC 5092 6.1.2: of `submit+` and other applications the session is looked at, and not the
    user that is named (RFC 5593 3.3). No session is anonymous here."""
    match access.application:
        case "anonymous" | "authuser":
            return True
        case "user":
            return access.user is not None and by_address(rows, access.user) == context.account
        case application:
            entities = context.door.url_applications.get(application, ())
            return any(by_address(rows, entity) == context.account for entity in entities)


def _token(key: bytes, octets: bytes) -> bytes:
    return _ALGORITHM + hmac.digest(key, octets, "sha256").hex().encode("ascii")


# --- GENURLAUTH


async def gen_url_auth(context: Context, command: GenUrlAuth) -> Ending:
    """RFC 4467 7; what is not as it says there is BAD, whatever the reason."""
    view, me = await context.barrier(), context.account
    checked = [_check(context, view, text, mechanism) for text, mechanism in command.urls]
    keys = [_key(view, me, url) for url in checked]
    if None in keys:
        keys = [*await context.ports.writer.write(me, lambda plan: _plan_keys(plan, me, checked))]
    made = [b"* GENURLAUTH"]
    for url, key in zip(checked, keys, strict=True):
        assert key is not None, "made where there was none"
        # RFC 4467 7: where nobody has the user's name this is valid for nobody, and looks alike
        holder = url.access.user
        is_valid = holder is None or by_address(view, holder) is not None
        token = _token(key, url.rump if is_valid else _NOBODY + url.rump)
        made.append(render_string(b"%b:internal:%b" % (url.rump, token)))
    context.out.add(b" ".join(made) + b"\r\n")
    return ok("GENURLAUTH completed")


def _check(context: Context, rows: Rows, text: bytes, mechanism: bytes) -> AuthorizedUrl:
    """RFC 4467 7: raises RemoteProtocolError for what no token is made of."""
    url = parse_authorized(text)
    if url.verifier is not None:
        raise RemoteProtocolError("the supplied URL has a token already")
    if mechanism != INTERNAL:
        raise RemoteProtocolError("no such mechanism; there is INTERNAL")
    known = url.access.application in _APPLICATIONS | context.door.url_applications.keys()
    if not known:
        raise RemoteProtocolError("not a valid access identifier in supplied URL")
    me = context.account
    if by_address(rows, url.user) != me:
        raise RemoteProtocolError("not your user name in supplied URL")
    place = _place(rows, me, url)
    if place is None or "r" not in place.rights:
        raise RemoteProtocolError("no such mailbox in supplied URL")
    return url


def _key(rows: Rows, me: AccountId, url: AuthorizedUrl) -> bytes | None:
    place = _place(rows, me, url)
    assert place is not None and place.mailbox is not None, "checked on these rows"
    return url_key(rows, me, place.account, place.mailbox.id)


def _plan_keys(plan: Plan, me: AccountId, urls: Sequence[AuthorizedUrl]) -> list[bytes]:
    keys = []
    for url in urls:
        assert url.message.mailbox is not None, "an absolute URL names one"
        place = needed(plan, me, url.message.mailbox, "r")
        assert place.mailbox is not None, "needed"
        keys.append(plan_url_key(plan, me, place.account, place.mailbox.id))
    return keys


# --- RESETKEY


async def reset_key(context: Context, command: ResetKey) -> Ending:
    """RFC 4467 7; the code stands in the tagged OK (8)."""
    me, name = context.account, command.mailbox
    if name is None:
        await context.ports.writer.write(me, lambda plan: plan_reset_all_url_keys(plan, me))
        return ok("All keys removed")
    if any(mechanism != INTERNAL for mechanism in command.mechanisms):
        return bad("No such mechanism; there is INTERNAL")
    found = needed(await context.barrier(), me, name, "r")

    def plan_reset(plan: Plan) -> MailboxId:
        place = still(plan, me, name, "r", found.account)
        assert place.mailbox is not None, "needed"
        plan_reset_url_key(plan, me, place.account, place.mailbox.id)
        return place.mailbox.id

    mailbox = await context.ports.writer.write(me, plan_reset)
    selected = context.selected
    if selected is not None and (selected.account, selected.mailbox) == (found.account, mailbox):
        selected.keys_seen = last_reset(context.local(), me)
    return ok("The key is another", url_mechanisms(context))


def url_mechanisms(context: Context) -> bytes | None:
    """RFC 4467 8 URLMECH; 10: not where others may listen."""
    return b"URLMECH INTERNAL" if context.may_send_secrets else None


def tell_reset(context: Context) -> None:
    """RFC 4467 7: the selected mailbox's key was replaced, by this user in whatever session."""
    selected = context.selected
    if selected is None or selected.deleted:
        return
    rows, me = context.local(), context.account
    last = last_reset(rows, me)
    if last <= selected.keys_seen:
        return
    before, selected.keys_seen = selected.keys_seen, last
    code = url_mechanisms(context)
    if code is not None and reset_at(rows, me, selected.account, selected.mailbox) > before:
        context.out.add(untagged_ok("The key is another", code))
