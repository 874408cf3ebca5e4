"""One whole command, text and literals, to its dataclass (RFC 9051 9 command).

Every verb is one entry of one table. What is not in the table, or not as its rule says, is a
RemoteProtocolError; nothing else is ever raised.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from protocols.errors import LimitExceeded, RemoteProtocolError
from protocols.imap import commands as c
from protocols.imap.acl_commands import (
    parse_delete_acl,
    parse_get_acl,
    parse_list_rights,
    parse_my_rights,
    parse_set_acl,
)
from protocols.imap.append_commands import parse_append, parse_replace
from protocols.imap.batches import parse_uid_batches
from protocols.imap.connection_commands import Compress, GetJmapAccess, Unauthenticate
from protocols.imap.fetch_commands import FetchItem
from protocols.imap.fetch_items import parse_fetch
from protocols.imap.flags import FLAGS_MAX, parse_flag, parse_flag_list
from protocols.imap.list_options import parse_list, parse_status_items
from protocols.imap.metadata import parse_get_metadata, parse_set_metadata
from protocols.imap.modifiers import parse_fetch_modifiers, parse_select, parse_unchanged_since
from protocols.imap.multisearch import parse_multi_search
from protocols.imap.notify import parse_notify
from protocols.imap.quota_commands import (
    parse_get_quota,
    parse_get_quota_root,
    parse_set_quota,
)
from protocols.imap.search_keys import parse_cancel_update, parse_search, parse_sort, parse_thread
from protocols.imap.tokens import Tokens
from protocols.imap.url_commands import parse_gen_url_auth, parse_reset_key, parse_url_fetch

# RFC 2971 3.3: at most 30 fields, of 30 and 1024 octets.
ID_FIELDS_MAX: Final = 30
# How many capabilities one ENABLE may name.
CAPABILITIES_MAX: Final = 64
# How many special uses one CREATE may name: more than there are.
USES_MAX: Final = 16


def parse_command(tokens: Tokens) -> c.Command:
    """Everything after the tag and its space."""
    verb = tokens.keyword()
    rule = _RULES.get(verb)
    if rule is None:
        raise RemoteProtocolError("unknown command")
    command = rule(tokens)
    tokens.end()
    return command


def parse_verb(text: bytes) -> tuple[bytes, bytes] | None:
    """The tag and the verb a line begins with, or None: to know whose literal is announced.

    Of a UID command the verb is what comes after UID.
    """
    tokens = Tokens(text)
    try:
        tag = tokens.tag()
        tokens.space()
        verb = tokens.keyword()
        if verb == b"UID":
            tokens.space()
            verb = tokens.keyword()
        return tag, verb
    except RemoteProtocolError:
        return None


def _login(tokens: Tokens) -> c.Command:
    tokens.space()
    username = tokens.text()
    tokens.space()
    return c.Login(username, tokens.text())


def _authenticate(tokens: Tokens) -> c.Command:
    tokens.space()
    mechanism = tokens.keyword().decode("ascii")
    initial = None
    if tokens.accept(b" "):
        initial = tokens.rest()  # decoded, and refused, by the exchange (RFC 4959)
        if not initial:
            raise RemoteProtocolError("expected an initial response")
    return c.Authenticate(mechanism, initial)


def _compress(tokens: Tokens) -> c.Command:
    """RFC 4978 5."""
    tokens.space()
    if tokens.keyword() != b"DEFLATE":
        raise RemoteProtocolError("no such compression; there is DEFLATE")
    return Compress()


def _id(tokens: Tokens) -> c.Command:
    """RFC 2971 3.1: NIL, or a list of string and nstring in turn."""
    tokens.space()
    if tokens.accept_word(b"NIL"):
        return c.Id()
    tokens.expect(b"(")
    fields = 0
    while not tokens.accept(b")"):
        if fields:
            tokens.space()
        fields += 1
        if fields > ID_FIELDS_MAX:
            raise LimitExceeded("ID_FIELDS", f"ID may have {ID_FIELDS_MAX} fields")
        tokens.string()
        tokens.space()
        tokens.nstring()
    return c.Id()


def _enable(tokens: Tokens) -> c.Command:
    names = []
    while tokens.accept(b" "):
        names.append(tokens.keyword())
        if len(names) > CAPABILITIES_MAX:
            raise LimitExceeded("ENABLE", "too many capabilities at once")
    if not names:
        raise RemoteProtocolError("expected a capability")
    return c.Enable(tuple(names))


def _mailbox(make: Callable[[str], c.Command]) -> Callable[[Tokens], c.Command]:
    def rule(tokens: Tokens) -> c.Command:
        tokens.space()
        return make(tokens.mailbox())

    return rule


def _create(tokens: Tokens) -> c.Command:
    """RFC 9051 9 create, with the one parameter there is: RFC 6154 6 USE."""
    tokens.space()
    mailbox = tokens.mailbox()
    if tokens.at_end:
        return c.Create(mailbox)
    tokens.space()
    tokens.expect(b"(")
    if tokens.keyword() != b"USE":
        raise RemoteProtocolError("unknown CREATE parameter; there is USE")
    tokens.space()
    tokens.expect(b"(")
    uses: list[bytes] = []
    while not tokens.accept(b")"):
        if uses:
            tokens.space()
        uses.append(tokens.flag().upper())
        if len(uses) > USES_MAX:
            raise LimitExceeded("CREATE_USES", f"a mailbox may have {USES_MAX} uses")
    tokens.expect(b")")
    return c.Create(mailbox, tuple(uses))


def _rename(tokens: Tokens) -> c.Command:
    tokens.space()
    source = tokens.mailbox()
    tokens.space()
    return c.Rename(source, tokens.mailbox())


def _lsub(tokens: Tokens) -> c.Command:
    """RFC 3501 6.3.9."""
    tokens.space()
    reference = tokens.mailbox_text(tokens.astring())
    tokens.space()
    return c.Lsub(reference, tokens.list_mailbox())


def _status(tokens: Tokens) -> c.Command:
    tokens.space()
    mailbox = tokens.mailbox()
    tokens.space()
    return c.Status(mailbox, parse_status_items(tokens))


def _fetch(tokens: Tokens, *, uid: bool) -> c.Command:
    tokens.need_uids(uid=uid)
    tokens.space()
    numbers = tokens.number_set()
    tokens.space()
    command = parse_fetch(tokens, numbers, uid=uid)
    if tokens.at_end:
        return command
    tokens.space()
    asked = parse_fetch_modifiers(tokens, uid=uid)
    items = command.items
    if asked.changed_since is not None:
        items |= {FetchItem.MODSEQ}  # RFC 7162 3.1.4.1
    return replace(
        command,
        items=items,
        changed_since=asked.changed_since,
        vanished=asked.vanished,
        partial=asked.partial,
    )


def _store(tokens: Tokens, *, uid: bool) -> c.Command:
    """RFC 9051 9 store: one parenthesised list, or flags without parentheses."""
    tokens.need_uids(uid=uid)
    tokens.space()
    numbers = tokens.number_set()
    tokens.space()
    unchanged_since = None
    if tokens.peek() == b"(":
        unchanged_since = parse_unchanged_since(tokens)
        tokens.space()
    mode = c.StoreMode.REPLACE
    if tokens.peek() in (b"+", b"-"):
        mode = c.StoreMode(tokens.peek())
        tokens.expect(mode.value)
    name = tokens.label()
    if name not in (b"FLAGS", b"FLAGS.SILENT"):
        raise RemoteProtocolError("expected FLAGS")
    tokens.space()
    if tokens.peek() == b"(":
        keywords = parse_flag_list(tokens)
    else:
        flags = [parse_flag(tokens.flag())]
        while tokens.accept(b" ") and len(flags) < FLAGS_MAX:
            flags.append(parse_flag(tokens.flag()))
        keywords = tuple(dict.fromkeys(flags))
    return c.Store(numbers, mode, keywords, name == b"FLAGS.SILENT", uid, unchanged_since)


def _copy(tokens: Tokens, *, move: bool, uid: bool) -> c.Command:
    tokens.need_uids(uid=uid)
    tokens.space()
    numbers = tokens.number_set()
    tokens.space()
    return c.Copy(numbers, tokens.mailbox(), move, uid)


def _search(tokens: Tokens, *, uid: bool) -> c.Command:
    tokens.need_uids(uid=uid)
    tokens.space()
    return parse_search(tokens, uid=uid)


def _sort(tokens: Tokens, *, uid: bool) -> c.Command:
    tokens.need_uids(uid=uid)
    tokens.space()
    return parse_sort(tokens, uid=uid)


def _thread(tokens: Tokens, *, uid: bool) -> c.Command:
    tokens.need_uids(uid=uid)
    tokens.space()
    return parse_thread(tokens, uid=uid)


def _uid(tokens: Tokens) -> c.Command:
    """RFC 9051 6.4.9."""
    tokens.space()
    match tokens.keyword():
        case b"FETCH":
            return _fetch(tokens, uid=True)
        case b"STORE":
            return _store(tokens, uid=True)
        case b"SEARCH":
            return _search(tokens, uid=True)
        case b"SORT":
            return _sort(tokens, uid=True)
        case b"THREAD":
            return _thread(tokens, uid=True)
        case b"COPY":
            return _copy(tokens, move=False, uid=True)
        case b"MOVE":
            return _copy(tokens, move=True, uid=True)
        case b"EXPUNGE":
            tokens.space()
            return c.Expunge(tokens.number_set())
        case b"REPLACE":
            return parse_replace(tokens, uid=True)
    raise RemoteProtocolError("unknown UID command")


_RULES: Final[Mapping[bytes, Callable[[Tokens], c.Command]]] = {
    # RFC 9051 6.1, RFC 2971
    b"CAPABILITY": lambda tokens: c.Capability(),
    b"NOOP": lambda tokens: c.Noop(),
    b"LOGOUT": lambda tokens: c.Logout(),
    b"ID": _id,
    # 6.2
    b"STARTTLS": lambda tokens: c.StartTls(),
    b"AUTHENTICATE": _authenticate,
    b"LOGIN": _login,
    # 6.3
    b"ENABLE": _enable,
    b"SELECT": lambda tokens: parse_select(tokens, read_only=False),
    b"EXAMINE": lambda tokens: parse_select(tokens, read_only=True),
    b"CREATE": _create,
    b"DELETE": _mailbox(c.Delete),
    b"RENAME": _rename,
    b"SUBSCRIBE": _mailbox(lambda name: c.Subscribe(name, wanted=True)),
    b"UNSUBSCRIBE": _mailbox(lambda name: c.Subscribe(name, wanted=False)),
    b"LIST": parse_list,
    b"LSUB": _lsub,
    b"NAMESPACE": lambda tokens: c.Namespace(),
    b"STATUS": _status,
    b"APPEND": parse_append,
    b"IDLE": lambda tokens: c.Idle(),
    b"COMPRESS": _compress,
    b"UNAUTHENTICATE": lambda tokens: Unauthenticate(),
    b"GETJMAPACCESS": lambda tokens: GetJmapAccess(),
    b"DELETEACL": parse_delete_acl,
    b"GENURLAUTH": parse_gen_url_auth,
    b"GETACL": parse_get_acl,
    b"GETMETADATA": parse_get_metadata,
    b"NOTIFY": parse_notify,
    b"GETQUOTA": parse_get_quota,
    b"GETQUOTAROOT": parse_get_quota_root,
    b"SETQUOTA": parse_set_quota,
    b"LISTRIGHTS": parse_list_rights,
    b"MYRIGHTS": parse_my_rights,
    b"RESETKEY": parse_reset_key,
    b"SETACL": parse_set_acl,
    b"SETMETADATA": parse_set_metadata,
    b"URLFETCH": parse_url_fetch,
    # 6.4, and CHECK of RFC 3501 6.4.1
    b"CHECK": lambda tokens: c.Check(),
    b"CLOSE": lambda tokens: c.Close(expunge=True),
    b"UNSELECT": lambda tokens: c.Close(expunge=False),
    b"EXPUNGE": lambda tokens: c.Expunge(),
    b"SEARCH": lambda tokens: _search(tokens, uid=False),
    b"SORT": lambda tokens: _sort(tokens, uid=False),
    b"CANCELUPDATE": parse_cancel_update,
    b"ESEARCH": parse_multi_search,
    b"THREAD": lambda tokens: _thread(tokens, uid=False),
    b"FETCH": lambda tokens: _fetch(tokens, uid=False),
    b"STORE": lambda tokens: _store(tokens, uid=False),
    b"REPLACE": lambda tokens: parse_replace(tokens, uid=False),
    b"COPY": lambda tokens: _copy(tokens, move=False, uid=False),
    b"MOVE": lambda tokens: _copy(tokens, move=True, uid=False),
    b"UID": _uid,
    b"UIDBATCHES": parse_uid_batches,
}
