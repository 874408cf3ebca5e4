"""Consensus by Raft: a sans-IO core, its durable log, and the Trio task that drives both."""

from raft.config import BadConfig, RaftConfig
from raft.configs import BadMembership, decode_membership, encode_membership
from raft.core import Core
from raft.damage import DamagedLog, LogDamaged
from raft.disk import Disk, DiskFailed, DiskFile, OsDisk
from raft.driver import Driver
from raft.membership import Change, ChangeRefused
from raft.mending import Repair
from raft.messages import Message
from raft.model import (
    CLUSTER_ID_BYTES,
    Entry,
    EntryKind,
    HardState,
    Index,
    Membership,
    Persist,
    ReplicaId,
    SnapshotMeta,
    Term,
)
from raft.ports import (
    EntryTooLarge,
    LogWriter,
    NoLeader,
    PeerStatus,
    ReadTimeout,
    StateAheadOfLog,
    StateMachine,
    Status,
    TooBusy,
    Transport,
)
from raft.ready import Ready
from raft.recovery import WalCorrupt, WrongLog, others_vote
from raft.repair import (
    LogAnswer,
    LogAsk,
    LogBehind,
    LogLacks,
    LogPiece,
    Mender,
    answer_damaged,
)
from raft.stable import DurableLog, LogStorage, MemoryLog, open_log
from raft.state import Role
from raft.steering import ChangeUnknown, Steering
from raft.transfers import Transfers, unheard_install
from raft.wire import WireError, decode, encode
from raft.writer import InlineWriter, ThreadWriter

__all__ = [
    "CLUSTER_ID_BYTES",
    "BadConfig",
    "BadMembership",
    "Change",
    "ChangeRefused",
    "ChangeUnknown",
    "Core",
    "DamagedLog",
    "Disk",
    "DiskFailed",
    "DiskFile",
    "Driver",
    "DurableLog",
    "Entry",
    "EntryKind",
    "EntryTooLarge",
    "HardState",
    "Index",
    "InlineWriter",
    "LogAnswer",
    "LogAsk",
    "LogBehind",
    "LogDamaged",
    "LogLacks",
    "LogPiece",
    "LogStorage",
    "LogWriter",
    "Membership",
    "MemoryLog",
    "Mender",
    "Message",
    "NoLeader",
    "OsDisk",
    "PeerStatus",
    "Persist",
    "RaftConfig",
    "ReadTimeout",
    "Ready",
    "Repair",
    "ReplicaId",
    "Role",
    "SnapshotMeta",
    "StateAheadOfLog",
    "StateMachine",
    "Status",
    "Steering",
    "Term",
    "ThreadWriter",
    "TooBusy",
    "Transfers",
    "Transport",
    "WalCorrupt",
    "WireError",
    "WrongLog",
    "answer_damaged",
    "decode",
    "decode_membership",
    "encode",
    "encode_membership",
    "open_log",
    "others_vote",
    "unheard_install",
]
