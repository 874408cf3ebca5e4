"""The commands of RFC 4467, and their grammar with that of RFC 5524.

URLs stay as they came: a token is of their octets, and what they mean the op finds out.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from protocols.errors import LimitExceeded, RemoteProtocolError
from protocols.imap.append_commands import URL_BYTES_MAX
from protocols.imap.tokens import Tokens

# How many URLs one command may name: each is looked up, and read, by itself.
URLS_MAX: Final = 100
# How many mechanisms RESETKEY may name; there is one.
MECHANISMS_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class ResetKey:
    """RFC 4467 7 RESETKEY; `mailbox` None: all keys are removed. `mechanisms` in upper case."""

    mailbox: str | None
    mechanisms: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class GenUrlAuth:
    """RFC 4467 7 GENURLAUTH: URLs as they came, each with its mechanism."""

    urls: tuple[tuple[bytes, bytes], ...]


class UrlItem(Enum):
    """RFC 5524 3.1."""

    STRUCTURE = b"BODYPARTSTRUCTURE"
    BINARY = b"BINARY"
    BODY = b"BODY"


@dataclass(frozen=True, slots=True)
class WantedUrl:
    """RFC 5524 5 url-fetch-arg; without items it is answered as RFC 4467 says."""

    text: bytes
    items: frozenset[UrlItem] = frozenset()


@dataclass(frozen=True, slots=True)
class UrlFetch:
    """RFC 4467 7 URLFETCH."""

    urls: tuple[WantedUrl, ...]


def parse_reset_key(tokens: Tokens) -> ResetKey:
    """RFC 4467 9 resetkey."""
    if tokens.at_end:
        return ResetKey(None)
    tokens.space()
    mailbox = tokens.mailbox()
    mechanisms: list[bytes] = []
    while tokens.accept(b" "):
        mechanisms.append(tokens.label())
        if len(mechanisms) > MECHANISMS_MAX:
            raise LimitExceeded("URL_MECHANISMS", "too many mechanisms at once")
    return ResetKey(mailbox, tuple(mechanisms))


def parse_gen_url_auth(tokens: Tokens) -> GenUrlAuth:
    """RFC 4467 9 genurlauth."""
    urls: list[tuple[bytes, bytes]] = []
    while not urls or not tokens.at_end:
        tokens.space()
        url = _url(tokens)
        tokens.space()
        urls.append((url, tokens.label()))
        _count(urls)
    return GenUrlAuth(tuple(urls))


def parse_url_fetch(tokens: Tokens) -> UrlFetch:
    """RFC 5524 5 urlfetch."""
    urls: list[WantedUrl] = []
    while not urls or not tokens.at_end:
        tokens.space()
        urls.append(_extended(tokens) if tokens.accept(b"(") else WantedUrl(_url(tokens)))
        _count(urls)
    return UrlFetch(tuple(urls))


def _extended(tokens: Tokens) -> WantedUrl:
    """RFC 5524 5 url-fetch-ext, after its parenthesis."""
    url = _url(tokens)
    items: set[UrlItem] = set()
    while not tokens.accept(b")"):
        tokens.space()
        name = tokens.keyword()
        try:
            item = UrlItem(name)
        except ValueError as error:
            raise RemoteProtocolError("unknown URLFETCH parameter") from error
        if item in items:
            raise RemoteProtocolError("a URLFETCH parameter stands twice")
        items.add(item)
    if {UrlItem.BINARY, UrlItem.BODY} <= items:
        raise RemoteProtocolError("BINARY and BODY exclude each other")
    return WantedUrl(url, frozenset(items))


def _url(tokens: Tokens) -> bytes:
    url = tokens.astring()
    if not url:
        raise RemoteProtocolError("a URL is empty")
    if len(url) > URL_BYTES_MAX:
        raise LimitExceeded("URL", f"a URL may have {URL_BYTES_MAX} octets")
    return url


def _count(urls: list[tuple[bytes, bytes]] | list[WantedUrl]) -> None:
    if len(urls) > URLS_MAX:
        raise LimitExceeded("URLS", f"a command may name {URLS_MAX} URLs")
