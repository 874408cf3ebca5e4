"""RPC between nodes: authenticated links, one-way messages and calls."""

from node.rpc.calls import (
    AdminAnswer,
    AdminCall,
    Answer,
    BlobParts,
    Call,
    GossipAnswer,
    GossipExchange,
    Hello,
    HelloAnswer,
    LogQuestion,
    LogTold,
    Marks,
    Rebuild,
    SnapshotOpen,
    SnapshotParts,
    SnapshotRows,
    VerifyBegin,
    VerifyLook,
)
from node.rpc.errors import (
    CallLost,
    CallRefused,
    HandshakeFailed,
    LinkLost,
    PeerBusy,
    PeerUnreachable,
    RpcError,
)
from node.rpc.frames import Kind
from node.rpc.handshake import Credentials, Remote, Secrets
from node.rpc.peers import Peers
from node.rpc.server import Server

__all__ = [
    "AdminAnswer",
    "AdminCall",
    "Answer",
    "BlobParts",
    "Call",
    "CallLost",
    "CallRefused",
    "Credentials",
    "GossipAnswer",
    "GossipExchange",
    "HandshakeFailed",
    "Hello",
    "HelloAnswer",
    "Kind",
    "LinkLost",
    "LogQuestion",
    "LogTold",
    "Marks",
    "PeerBusy",
    "PeerUnreachable",
    "Peers",
    "Rebuild",
    "Remote",
    "RpcError",
    "Secrets",
    "Server",
    "SnapshotOpen",
    "SnapshotParts",
    "SnapshotRows",
    "VerifyBegin",
    "VerifyLook",
]
