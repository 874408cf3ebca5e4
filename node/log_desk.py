"""A damaged log and the other nodes (trio): asking them what is missing, answering those who ask.

The log decides what to ask and when it is whole (raft/repair.py). A node whose log has gaps runs
nothing else meanwhile: it listens at its peer port, so that others whose logs are damaged too may
ask it, and goes round all whom it knows until its gaps are filled or given up.
"""

from collections.abc import Sequence
from typing import Final

import trio

from node import logs
from node.config import ConfigError
from node.env import Env
from node.foundation import LogToMend
from node.members import cards_of
from node.network import Address
from node.rpc import (
    Answer,
    Call,
    CallRefused,
    Credentials,
    LogQuestion,
    LogTold,
    Peers,
    Remote,
    RpcError,
    Secrets,
    Server,
)
from raft import (
    BadMembership,
    Entry,
    EntryKind,
    LogAnswer,
    LogAsk,
    LogBehind,
    LogLacks,
    LogPiece,
    Mender,
    Repair,
    SnapshotMeta,
    answer_damaged,
    decode_membership,
    encode_membership,
)

# A peer that is there answers in this time, with a large piece too.
PIECE_S: Final = 10.0
# Pause before all are asked again.
ROUND_S: Final = 0.25
# How often a waiting node says so, in rounds.
ROUNDS_PER_NOTE: Final = 40

log = logs.named("node.log_desk")


def ask_of(question: LogQuestion) -> LogAsk:
    """The question as raft knows it."""
    return LogAsk(question.low, question.anchor, question.anchor_term)


def tell(answer: LogAnswer) -> LogTold:
    """Raft's answer as it travels."""
    match answer:
        case LogPiece(previous_term, entries):
            carried = tuple((entry.term, int(entry.kind), entry.payload) for entry in entries)
            return LogTold("piece", term=previous_term, entries=carried)
        case LogBehind(meta, holds_anchor):
            membership = encode_membership(meta.membership)
            return LogTold("behind", False, holds_anchor, meta.term, meta.index, (), membership)
        case LogLacks(leads, is_whole):
            return LogTold("lacks", leads, is_whole)


def hear(told: Answer, low: int) -> LogAnswer | None:
    """What another node said of entries from `low` on; None where we do not understand it."""
    if not isinstance(told, LogTold):
        return None
    try:
        match told.kind:
            case "piece":
                entries = [
                    Entry(low + place, term, EntryKind(kind), payload)
                    for place, (term, kind, payload) in enumerate(told.entries)
                ]
                for entry in entries:
                    if entry.kind is EntryKind.CONFIG:
                        decode_membership(entry.payload)
                return LogPiece(told.term, tuple(entries))
            case "behind":
                membership = decode_membership(told.membership)
                return LogBehind(SnapshotMeta(told.index, told.term, membership), told.is_sure)
            case "lacks":
                return LogLacks(told.leads, told.is_sure)
    except (BadMembership, ValueError):
        return None
    return None


class LogDesk:
    """Mends the log of a node that has not started yet."""

    def __init__(self, need: LogToMend, env: Env, seeds: Sequence[Address]) -> None:
        """`seeds` are the file's other nodes; the log's own members are asked too."""
        self._need = need
        self._env = env
        secrets = Secrets(*need.ring.secrets)
        self._credentials = Credentials(need.ring.cluster, secrets, need.replica, need.own.name)
        self._others = _others(need, seeds)
        self._mender = Mender(need.log)

    async def run(self) -> Repair:
        """Until the log can be mended."""
        own, env = self._need.own, self._env
        listeners = await env.network.listen_tcp(own.address, own.peer)
        server = Server(
            self._credentials,
            on_message=lambda remote, kind, payload: None,
            on_call=self._on_call,
            on_link=lambda remote: None,
            draw=env.draw,
        )
        gaps = self._need.log.gaps
        log.warning("the log is damaged: asking others for it", gaps=len(gaps), place=gaps[0].why)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve, listeners, name="rpc listener")
            repair = await self._ask_all()
            nursery.cancel_scope.cancel()
        for listener in listeners:
            await listener.aclose()
        began = 0 if repair.base is None else repair.base.index
        log.warning("mended", entries=len(repair.copies), begins_behind=began, cut=repair.cut or 0)
        return repair

    async def _on_call(self, remote: Remote, call: Call) -> Answer:
        if isinstance(call, LogQuestion):
            return tell(answer_damaged(self._need.log, ask_of(call)))
        raise CallRefused("this node is mending its log and takes no part yet")

    async def _ask_all(self) -> Repair:
        peers = Peers(
            self._credentials,
            self._env.network,
            locate=lambda replica: None,
            on_link=lambda replica, up: None,
            chance=self._env.chance,
            draw=self._env.draw,
        )
        mender, rounds = self._mender, 0
        while mender.ask is not None:
            moved = False
            for address in self._others:
                moved |= await self._ask(peers, address)
            if moved or mender.end_round(len(self._others)):
                continue
            rounds += 1
            if rounds % ROUNDS_PER_NOTE == 1:
                log.warning("nobody has what the log lacks yet", missing_from=mender.ask.low)
            await trio.sleep(ROUND_S)
        return mender.repair

    async def _ask(self, peers: Peers, address: Address) -> bool:
        """Ask one node for as long as it has something; whether it had."""
        moved = False
        while (ask := self._mender.ask) is not None:
            question = LogQuestion(ask.low, ask.anchor, ask.anchor_term)
            try:
                _, told = await peers.call_at(address, question, timeout_s=PIECE_S)
            except RpcError:
                return moved
            answer = hear(told, ask.low)
            if answer is None or not self._mender.hear(answer):
                return moved
            moved = True
        return moved


def _others(need: LogToMend, seeds: Sequence[Address]) -> list[Address]:
    """All whom the file or the log names, but ourselves."""
    memberships = [membership for _, membership in need.log.configs[-1:]]
    if not memberships and need.log.snapshot is not None:
        memberships = [need.log.snapshot.membership]
    cards = [
        (card.host, card.port)
        for membership in memberships
        for replica, card in cards_of(membership).items()
        if replica != need.replica
    ]
    others = list(dict.fromkeys([*seeds, *cards]))
    if not others:
        raise ConfigError("the log is damaged, and the file names nobody who could mend it.")
    return others
