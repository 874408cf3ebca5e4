"""Gossip: who is in the cluster, where, and how they are. SWIM with Lifeguard; see README.md."""

from gossip.config import GossipConfig
from gossip.core import Core
from gossip.driver import Gossip, first_incarnation
from gossip.identity import Identity
from gossip.model import (
    META_BYTES_MAX,
    Address,
    Change,
    Member,
    MemberEvent,
    ReplicaId,
    Status,
)
from gossip.seal import Keyring
from gossip.wire import GossipFormatError

__all__ = [
    "META_BYTES_MAX",
    "Address",
    "Change",
    "Core",
    "Gossip",
    "GossipConfig",
    "GossipFormatError",
    "Identity",
    "Keyring",
    "Member",
    "MemberEvent",
    "ReplicaId",
    "Status",
    "first_incarnation",
]
