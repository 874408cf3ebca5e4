"""The commands of RFC 4314, and the letters of rights."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from protocols.errors import LimitExceeded, RemoteProtocolError
from protocols.imap.tokens import Tokens, decode_text
from storage.mail.sharing import ALL, canonical_rights

# RFC 4314 2.1.1: rights of RFC 2086, and those of today that each stands for.
_VIRTUAL: Final = {"c": "kx", "d": "te"}
# A name that logs in is no longer (protocols/sasl.py).
IDENTIFIER_BYTES_MAX: Final = 1024


class Change(Enum):
    """RFC 4314 3.1: what becomes of the rights that are there."""

    REPLACE = ""
    ADD = "+"
    REMOVE = "-"


@dataclass(frozen=True, slots=True)
class SetAcl:
    """RFC 4314 3.1; without virtual rights."""

    mailbox: str
    identifier: str
    change: Change
    rights: str


@dataclass(frozen=True, slots=True)
class DeleteAcl:
    """RFC 4314 3.2."""

    mailbox: str
    identifier: str


@dataclass(frozen=True, slots=True)
class GetAcl:
    """RFC 4314 3.3."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class ListRights:
    """RFC 4314 3.4."""

    mailbox: str
    identifier: str


@dataclass(frozen=True, slots=True)
class MyRights:
    """RFC 4314 3.5."""

    mailbox: str


def parse_set_acl(tokens: Tokens) -> SetAcl:
    """RFC 4314 7 setacl."""
    mailbox, identifier = _mailbox_and_identifier(tokens)
    tokens.space()
    text = decode_text(tokens.astring())
    change = Change.REPLACE
    if text[:1] in ("+", "-"):
        change, text = Change(text[0]), text[1:]
    for letter in text:
        if letter not in ALL and letter not in _VIRTUAL:
            raise RemoteProtocolError("there is no such right")
    return SetAcl(mailbox, identifier, change, _expand(text))


def parse_delete_acl(tokens: Tokens) -> DeleteAcl:
    """RFC 4314 7 deleteacl."""
    return DeleteAcl(*_mailbox_and_identifier(tokens))


def parse_get_acl(tokens: Tokens) -> GetAcl:
    """RFC 4314 7 getacl."""
    tokens.space()
    return GetAcl(tokens.mailbox())


def parse_list_rights(tokens: Tokens) -> ListRights:
    """RFC 4314 7 listrights."""
    return ListRights(*_mailbox_and_identifier(tokens))


def parse_my_rights(tokens: Tokens) -> MyRights:
    """RFC 4314 7 myrights."""
    tokens.space()
    return MyRights(tokens.mailbox())


def _mailbox_and_identifier(tokens: Tokens) -> tuple[str, str]:
    tokens.space()
    mailbox = tokens.mailbox()
    tokens.space()
    octets = tokens.astring()
    if len(octets) > IDENTIFIER_BYTES_MAX:
        raise LimitExceeded("ACL_IDENTIFIER", "an identifier is too long")
    identifier = decode_text(octets)
    if not identifier or not identifier.isprintable():
        raise RemoteProtocolError("that can be no identifier")  # RFC 4314 3
    return mailbox, identifier


def _expand(letters: str) -> str:
    return canonical_rights("".join(_VIRTUAL.get(letter, letter) for letter in letters))


def render_rights(rights: str) -> bytes:
    """Rights as they are told: with the virtual ones of which any member is there."""
    virtual = (old for old, members in _VIRTUAL.items() if set(members) & set(rights))
    return (rights + "".join(virtual)).encode("ascii") or b'""'
