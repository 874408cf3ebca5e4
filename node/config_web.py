"""[http], [jmap] and [push] of cluster.toml: what programs of the web may do, and how much."""

from typing import Annotated

import msgspec

from node.config_section import Section


class HttpSection(Section, frozen=True, kw_only=True):
    """[http]: what is told to clients, and which pages may use the server from a browser."""

    public_url: Annotated[str, msgspec.Meta(pattern=r"^(https?://[A-Za-z0-9.:\[\]-]+)?$")] = ""
    """What URLs begin with, behind a proxy that does not say so itself (Forwarded)."""

    allow_origins: tuple[
        Annotated[str, msgspec.Meta(pattern=r"^(\*|https?://[A-Za-z0-9.:\[\]-]+)$")], ...
    ] = ()


class JmapSection(Section, frozen=True, kw_only=True):
    """[jmap]: limits by the names that the session tells them under (RFC 8620 2), all inclusive;
    uploads may be as large as messages ([limits] message-bytes)."""

    max_concurrent_upload: Annotated[int, msgspec.Meta(ge=1, le=100)] = 4  # of an account, per node
    max_size_request: Annotated[int, msgspec.Meta(ge=1024, le=64 << 20)] = 10_000_000
    """Octets; decoded they take up to ten times as much memory."""
    max_concurrent_requests: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 8  # the same
    max_calls_in_request: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 32
    max_objects_in_get: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1_000
    max_objects_in_set: Annotated[int, msgspec.Meta(ge=1, le=5_000)] = 500
    """One /set is one entry of the log: others wait while it is planned."""


class PushSection(Section, frozen=True, kw_only=True):
    """[push]: whom push services may write to, and where pushes may go."""

    contact: Annotated[str, msgspec.Meta(pattern=r"^((mailto:|https://)[!-~]+)?$")] = ""
    """A mailto or https URL; without one, postmaster at [cluster] hostname."""
    allow_private_addresses: bool = False
    """Push also to addresses that only this network reaches: a client then chooses whom the
    server speaks to there."""
    certificates: str = ""
    """A PEM file of more authorities to trust, for push services of one's own."""
