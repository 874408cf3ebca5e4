"""CAPABILITY, LOGIN, the end of AUTHENTICATE, ENABLE, ID, LOGOUT (RFC 9051 6.1, 6.2, 6.3.1).

Only what is true is advertised: AUTH=PLAIN where a password may be sent, LOGINDISABLED where
not, AUTH=EXTERNAL to whom TLS has verified a certificate of, STARTTLS while it can still be started
(RFC 9051 11).
"""

from typing import Final

from protocols.bearer import TOKEN_MECHANISMS
from protocols.imap.commands import Capability, Check, Enable, Id, Login, Logout, Noop
from protocols.imap.connection_commands import GetJmapAccess
from protocols.imap.ops.context import Context
from protocols.imap.responses import Ending, bye, no, ok
from protocols.ports import AuthBusy, AuthFailed, Principal
from protocols.render.strings import render_string
from protocols.sasl import Claim
from storage.accounts import is_administrator
from storage.mail.annotations import last_change

# IMAP4rev2 holds most of these by itself; clients of IMAP4rev1 look for them by name. LITERAL+
# says all that LITERAL- does (RFC 7888 7: never both).
_ALWAYS: Final = (b"IMAP4rev2", b"IMAP4rev1", b"LITERAL+", b"ID", b"ENABLE")
_STRANGER: Final = (b"SASL-IR",)
_MECHANISMS: Final = (
    b"AUTH=PLAIN",
    b"AUTH=SCRAM-SHA-256",
    *(b"AUTH=" + name.encode() for name in TOKEN_MECHANISMS),
)
_KNOWN: Final = (
    b"ACL",
    b"BINARY",
    b"CATENATE",
    b"CHILDREN",
    b"CONDSTORE",
    b"CONTEXT=SEARCH",
    b"CONTEXT=SORT",
    b"CREATE-SPECIAL-USE",
    b"ESEARCH",
    b"ESORT",
    b"FILTERS",
    b"I18NLEVEL=1",
    b"IDLE",
    b"INPROGRESS",
    b"LIST-EXTENDED",
    b"LIST-METADATA",
    b"LIST-MYRIGHTS",
    b"LIST-STATUS",
    b"METADATA",
    b"MOVE",
    b"MULTIAPPEND",
    b"MULTISEARCH",
    b"NAMESPACE",
    b"NOTIFY",
    b"OBJECTID",
    b"PARTIAL",
    b"PREVIEW",
    b"QRESYNC",
    b"QUOTA",
    b"QUOTA=RES-MAILBOX",
    b"QUOTA=RES-MESSAGE",
    b"QUOTA=RES-STORAGE",
    b"REPLACE",
    b"RIGHTS=kxte",
    b"SAVEDATE",
    b"SEARCH=FUZZY",
    b"SEARCHRES",
    b"SORT",
    b"SORT=DISPLAY",
    b"SPECIAL-USE",
    b"STATUS=SIZE",
    b"THREAD=ORDEREDSUBJECT",
    b"THREAD=REFERENCES",
    b"THREAD=REFS",
    b"UIDBATCHES",
    b"UIDONLY",
    b"UIDPLUS",
    b"UNAUTHENTICATE",
    b"UNSELECT",
    b"URL-PARTIAL",
    b"URLAUTH",
    b"URLAUTH=BINARY",
    b"UTF8=ACCEPT",
    b"WITHIN",
)
_NAME: Final = b"Trireme"
WRONG: Final = no("Wrong user name or password", b"AUTHENTICATIONFAILED")
BUSY: Final = no("Too many attempts; try again later", b"LIMIT")


def capabilities(context: Context) -> bytes:
    """RFC 9051 7.2.2: what this connection can do now."""
    names = [*_ALWAYS]
    if context.principal is None:
        if context.offers_tls:
            names.append(b"STARTTLS")
        names += _STRANGER
        names += _mechanisms(context)
    else:
        if context.door.jmap_url is not None:
            names.append(b"JMAPACCESS")
        if is_administrator(context.local(), context.account):  # the right may come and go
            names.append(b"QUOTASET")
    if context.door.message_limit:
        names.append(b"MESSAGELIMIT=%d" % context.door.message_limit)
    elif context.door.save_limit:
        names.append(b"SAVELIMIT=%d" % context.door.save_limit)
    if not context.compressed:
        names.append(b"COMPRESS=DEFLATE")
    append_limit = b"APPENDLIMIT=%d" % context.door.append_bytes_max  # RFC 7889 3
    return b"CAPABILITY " + b" ".join([*names, *_KNOWN, append_limit])


def _mechanisms(context: Context) -> tuple[bytes, ...]:
    """How a stranger may prove who he is."""
    if not context.may_send_secrets:
        return (b"LOGINDISABLED",)
    external = (b"AUTH=EXTERNAL",) if context.channel.certified else ()
    plus = (b"AUTH=SCRAM-SHA-256-PLUS",) if context.binds else ()
    return (*external, *_MECHANISMS, *plus)


async def capability(context: Context, command: Capability) -> Ending:
    """RFC 9051 6.1.1."""
    context.out.add(b"* %b\r\n" % capabilities(context))
    return ok("CAPABILITY completed")


async def noop(context: Context, command: Noop | Check) -> Ending:
    """RFC 9051 6.1.2: what has happened anywhere is told before it ends."""
    if context.selected is not None or context.notified is not None:
        await context.barrier()
    return ok("NOOP completed" if isinstance(command, Noop) else "CHECK completed")


async def logout(context: Context, command: Logout) -> Ending:
    """RFC 9051 6.1.3."""
    context.logged_out = True
    context.selected = None
    context.out.add(bye("Goodbye"))
    return ok("LOGOUT completed")


async def identify(context: Context, command: Id) -> Ending:
    """RFC 2971 3.1."""
    context.out.add(b'* ID ("name" %b)\r\n' % render_string(_NAME))
    return ok("ID completed")


async def get_jmap_access(context: Context, command: GetJmapAccess) -> Ending:
    """RFC 9698 3: the session resource; the name and password of this login open it too."""
    if context.door.jmap_url is None:
        return no("JMAP is at no address that is known here", b"CANNOT")
    context.out.add(b"* JMAPACCESS %b\r\n" % render_string(context.door.jmap_url.encode("ascii")))
    return ok("GETJMAPACCESS completed")


async def login(context: Context, command: Login) -> Ending:
    """RFC 9051 6.2.3."""
    return await prove(context, Claim(command.username, command.password), "LOGIN")


async def prove(context: Context, claim: Claim, verb: str) -> Ending:
    """A claim is proved, or not: LOGIN and AUTHENTICATE end alike (RFC 5530 3)."""
    if not context.may_send_secrets:
        return no("Start TLS first", b"PRIVACYREQUIRED")
    try:
        principal = await context.ports.auth.password(
            claim.username, claim.password, remote=context.peer_ip
        )
    except AuthFailed:
        return WRONG
    except AuthBusy:
        return BUSY
    return logged_in(context, principal, verb)


def logged_in(context: Context, principal: Principal, verb: str) -> Ending:
    """It is proved who this is."""
    context.principal = principal
    return ok(f"{verb} completed", capabilities(context))


async def enable(context: Context, command: Enable) -> Ending:
    """RFC 9051 6.3.1: what we do not know is passed over; IMAP4rev1 is always on."""
    asked = frozenset(command.capabilities)
    enabled = []
    if b"IMAP4REV2" in asked and not context.rev2:
        context.rev2 = True
        enabled.append(b"IMAP4rev2")
    if b"UTF8=ACCEPT" in asked and not context.accepts_utf8:
        context.accepts_utf8 = True
        enabled.append(b"UTF8=ACCEPT")
    if b"QRESYNC" in asked and not context.qresync:
        context.qresync = True
        enabled.append(b"QRESYNC")
        if context.selected is not None:
            context.selected.vanishes = True
    if b"UIDONLY" in asked and not context.uid_only:
        enabled.append(b"UIDONLY")
        context.count_no_more()
    if b"CONDSTORE" in asked and not context.condstore:
        enabled.append(b"CONDSTORE")
    metadata = asked & {b"METADATA", b"METADATA-SERVER"}
    if metadata and context.metadata_seen is None:
        context.metadata_seen = last_change(context.local(), context.account)
        enabled += sorted(metadata)
    context.out.add(b" ".join([b"* ENABLED", *enabled]) + b"\r\n")
    if b"CONDSTORE" in enabled or b"QRESYNC" in enabled:  # RFC 7162 3.2.3: the one means the other
        context.know_modseqs()
    return ok("ENABLE completed")
