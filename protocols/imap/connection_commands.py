"""Commands of extensions that concern the connection itself, not what is in mailboxes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Compress:
    """RFC 4978 3; DEFLATE is the only mechanism there is."""


@dataclass(frozen=True, slots=True)
class Unauthenticate:
    """RFC 8437 3."""


@dataclass(frozen=True, slots=True)
class GetJmapAccess:
    """RFC 9698: where the same mail is by JMAP."""
