"""The commands of RFC 9208."""

from dataclasses import dataclass

from protocols.imap.tokens import Tokens


@dataclass(frozen=True, slots=True)
class GetQuota:
    """RFC 9208 4.1.1."""

    root: bytes


@dataclass(frozen=True, slots=True)
class GetQuotaRoot:
    """RFC 9208 4.1.2."""

    mailbox: str


def parse_get_quota(tokens: Tokens) -> GetQuota:
    """RFC 9208 7 getquota."""
    tokens.space()
    return GetQuota(tokens.astring())


def parse_get_quota_root(tokens: Tokens) -> GetQuotaRoot:
    """RFC 9208 7 getquotaroot."""
    tokens.space()
    return GetQuotaRoot(tokens.mailbox())
