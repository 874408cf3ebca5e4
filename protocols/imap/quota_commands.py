"""The commands of RFC 9208."""

from dataclasses import dataclass
from typing import Final

from protocols.errors import LimitExceeded
from protocols.imap.tokens import Tokens

# Limits that one SETQUOTA may set: there are four resources (RFC 9208 5), and some may come.
RESOURCES_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class GetQuota:
    """RFC 9208 4.1.1."""

    root: bytes


@dataclass(frozen=True, slots=True)
class GetQuotaRoot:
    """RFC 9208 4.1.2."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class SetQuota:
    """RFC 9208 4.1.3; the names of resources are in upper case."""

    root: bytes
    resources: tuple[tuple[bytes, int], ...]


def parse_get_quota(tokens: Tokens) -> GetQuota:
    """RFC 9208 7 getquota."""
    tokens.space()
    return GetQuota(tokens.astring())


def parse_get_quota_root(tokens: Tokens) -> GetQuotaRoot:
    """RFC 9208 7 getquotaroot."""
    tokens.space()
    return GetQuotaRoot(tokens.mailbox())


def parse_set_quota(tokens: Tokens) -> SetQuota:
    """RFC 9208 7 setquota: limits are number64, of 63 bits."""
    tokens.space()
    root = tokens.astring()
    tokens.space()
    tokens.expect(b"(")
    resources: list[tuple[bytes, int]] = []
    while not tokens.accept(b")"):
        if resources:
            tokens.space()
        if len(resources) == RESOURCES_MAX:
            raise LimitExceeded("QUOTA", f"a command may set {RESOURCES_MAX} limits")
        name = tokens.atom().upper()
        tokens.space()
        resources.append((name, tokens.number()))
    return SetQuota(root, tuple(resources))
