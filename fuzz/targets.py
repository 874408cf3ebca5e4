"""Every parser a stranger's or a disk's bytes reach, as a function of bytes.

A target raises only when something is wrong: the errors a parser names are its right answers.
"""

from collections.abc import Callable, Mapping
from typing import Final

from fuzz.imap_door import imap_door
from fuzz.oauth_forms import oauth
from gossip.wire import GossipFormatError, unpack
from node.rpc import calls
from node.rpc.errors import LinkLost
from protocols import sasl
from protocols.bearer import TOKEN_MECHANISMS, Refusal, TokenClaim, token_of
from protocols.buffer import ReceiveBuffer
from protocols.deflate import Inflater
from protocols.errors import RemoteProtocolError
from protocols.imap.core import Core as ImapCore
from protocols.imap.core import LiteralRoom
from protocols.imap.search_keys import parse_search_keys
from protocols.jmap.errors import RequestError
from protocols.jmap.request import parse_request
from protocols.lmtp import replies
from protocols.lmtp.content import Budget
from protocols.lmtp.core import Core as LmtpCore
from protocols.lmtp.events import (
    AuthAsked,
    Closed,
    MessageReceived,
    NeedInput,
    Offer,
    RecipientAsked,
)
from protocols.lmtp.replies import Reply
from protocols.mime.addresses import parse_addresses
from protocols.mime.envelope import summarise
from protocols.mime.html_text import html_to_text
from protocols.mime.structure import parse
from protocols.ports import Route
from protocols.scram import Scram, derive_keys, parse_keys, render_keys
from storage.batch import BatchError, decode_payload
from storage.ids import AccountId

STEPS_MAX: Final = 1_000_000
# What a connection asks a compressed stream for at once.
INFLATED_BYTES_MAX: Final = 4096
# Whom SCRAM is tried against.
_SCRAM_KEYS: Final = derive_keys(b"secret", b"salt", 1)
_SCRAM_NAMES: Final = {"tls-exporter": b"name of a connection"}


def imap(data: bytes) -> None:
    """A whole connection's bytes, as somebody who is logged in and has selected a mailbox."""
    core = ImapCore(LiteralRoom())
    core.authenticated()
    core.selected()
    at = 0
    try:
        while at < len(data):
            wanted = core.wanted
            assert wanted > 0, "the core wants nothing, yet asks for more"
            core.receive(data[at : at + wanted])
            at += wanted
            while core.next_request() is not None:
                pass
            core.take_output()
    except RemoteProtocolError:
        return
    finally:
        core.release()


def filters(data: bytes) -> None:
    """The text of a filter that somebody has kept (RFC 5466): a search program by itself."""
    try:
        parse_search_keys(data)
    except RemoteProtocolError:
        return


def scram(data: bytes) -> None:
    """The client's two messages, a line each; and the same bytes as keys that were kept."""
    first, _, final = data.partition(b"\n")
    for exchange in (Scram(), Scram(_SCRAM_NAMES.get, plus=True)):
        try:
            name, other = exchange.first(first)
            assert name and "\0" not in name + other
            exchange.challenge(_SCRAM_KEYS, b"server nonce")
            verifier = exchange.final(final)
            assert verifier is None or verifier.startswith(b"v=")
        except RemoteProtocolError:
            pass
    try:
        kept = parse_keys(data.decode("latin-1"))
    except RemoteProtocolError:
        return
    assert kept is None or parse_keys(render_keys(kept)) == kept


def plain(data: bytes) -> None:
    """A response of PLAIN and LOGIN, as it is on the wire and under the base64."""
    for decode in (sasl.decode_initial_response, sasl.decode_response):
        try:
            decode(data)
        except RemoteProtocolError:
            continue
    for make in (*sasl.MECHANISMS.values(), sasl.External):
        exchange = make()
        try:
            while isinstance(exchange.step(data), sasl.Challenge):
                pass
        except RemoteProtocolError:
            continue


def bearer(data: bytes) -> None:
    """A response of OAUTHBEARER and XOAUTH2, and the same bytes as a header of HTTP."""
    for make in TOKEN_MECHANISMS.values():
        try:
            claim = make().step(data)
        except RemoteProtocolError:
            continue
        assert isinstance(claim, TokenClaim) and "\0" not in claim.authzid + claim.token
    token = token_of(data.decode("latin-1"))
    assert token.isascii() and " " not in token and (token.isprintable() or not token)


def lmtp(data: bytes) -> None:
    """A whole connection's bytes; every recipient is known and every message kept."""
    offer = Offer(hostname="fuzz.example", auth=True)
    core, at = LmtpCore(offer, Budget(1 << 24), secure=True), 0
    for _ in range(STEPS_MAX):
        match core.next_event():
            case NeedInput():
                core.outgoing()
                if at >= len(data):
                    return
                room = core.room
                assert room > 0, "no room, yet more is asked for"
                core.receive(data[at : at + room])
                at += room
            case RecipientAsked():
                core.accept_recipient(Route((AccountId(1),)))
            case AuthAsked(claim=TokenClaim()):
                core.token_refused(Refusal.TOKEN, replies.AUTH_FAILED)
            case AuthAsked():
                core.told(replies.AUTH_FAILED)
            case MessageReceived() as received:
                core.delivered([Reply(250, "2.1.5", ("ok",))] * len(received.recipients))
            case Closed():
                return
    raise AssertionError("the core does not come to an end")


def mime(data: bytes) -> None:
    """A message: any bytes are one, and all offsets lie inside."""
    summarise(data)
    stack = [parse(data)]
    while stack:
        part = stack.pop()
        assert 0 <= part.header_start <= part.body_start <= part.body_end <= len(data), part
        stack.extend(part.children)


def addresses(data: bytes) -> None:
    """An address list."""
    parse_addresses(data)


def html(data: bytes) -> None:
    """An HTML body."""
    html_to_text(data.decode("utf-8", "replace"))


def jmap(data: bytes) -> None:
    """A request's body."""
    try:
        parse_request(data, calls_max=16, capabilities=frozenset({"urn:ietf:params:jmap:core"}))
    except RequestError:
        return


def batch(data: bytes) -> None:
    """An entry of the log."""
    try:
        decode_payload(data)
    except BatchError:
        return


def gossip(data: bytes) -> None:
    """An opened gossip packet."""
    try:
        unpack(data)
    except GossipFormatError:
        return


def rpc(data: bytes) -> None:
    """An opened frame between nodes."""
    for decode in (calls.decode_call, calls.decode_reply):
        try:
            decode(data)
        except LinkLost:
            continue


def line(data: bytes) -> None:
    """The buffer under every line protocol, fed in pieces."""
    buffer = ReceiveBuffer(4096)
    try:
        for at in range(0, len(data), 7):
            buffer.feed(data[at : at + 7])
            while buffer.line(1024) is not None:
                pass
    except RemoteProtocolError:
        return


def deflate(data: bytes) -> None:
    """What a client says it has compressed: no more comes out than was asked for, and all of it."""
    inflater = Inflater()
    try:
        for at in range(0, len(data), 97):
            inflater.feed(data[at : at + 97])
            while not inflater.spent and not inflater.ended:
                assert len(inflater.take(INFLATED_BYTES_MAX)) <= INFLATED_BYTES_MAX
            if inflater.ended:
                return
    except RemoteProtocolError:
        return


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "addresses": addresses,
    "batch": batch,
    "bearer": bearer,
    "deflate": deflate,
    "filters": filters,
    "gossip": gossip,
    "html": html,
    "imap": imap,
    "imap_door": imap_door,
    "jmap": jmap,
    "line": line,
    "lmtp": lmtp,
    "mime": mime,
    "oauth": oauth,
    "plain": plain,
    "rpc": rpc,
    "scram": scram,
}
