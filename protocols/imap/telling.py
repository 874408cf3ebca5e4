"""News told to a client while it is waited for: in IDLE, and after NOTIFY between commands.

The task that tells is stopped between two sends, never in one. What is news is ops/news.py's.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from protocols.imap.ops.bodies import BrokenOff
from protocols.imap.ops.context import Context
from protocols.imap.ops.news import tell_news
from protocols.ports import Watch
from protocols.stream import PeerGone
from storage.ids import AccountId, Version
from storage.keys import TypeCode
from storage.mail.sharing import ANYONE

T = TypeVar("T")


async def tell(
    context: Context, *, expunges: bool, asked: bool = False, waiting: bool = False
) -> None:
    """As `tell_news`; a message that went away in the middle of its telling ends the connection."""
    try:
        await tell_news(context, expunges=expunges, asked=asked, waiting=waiting)
    except BrokenOff as error:
        raise PeerGone("hung up in the middle of a message that went away") from error


async def telling(context: Context, receive: Callable[[], Awaitable[T]], *, idle: bool) -> T:
    """Wait for the peer and tell it news meanwhile; EXPUNGEs too in IDLE (RFC 9051 7.5.1)."""
    watched = context.watched
    with context.ports.news.watch(watched) as watch:
        await _tell_waiting(context, idle=idle)  # after the watch began: nothing falls between
        idling = _Idling()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_tell_all, context, watch, watched, idling, idle)
            got = await receive()
            idling.stop()
    return got


class _Idling:
    """Whether the task that tells goes on."""

    __slots__ = ("over", "waiting")

    def __init__(self) -> None:
        self.over = False
        self.waiting = trio.CancelScope()

    def stop(self) -> None:
        """Tell no more."""
        self.over = True
        self.waiting.cancel()


async def _tell_all(
    context: Context, watch: Watch, watched: set[AccountId], idling: _Idling, idle: bool
) -> None:
    await _tell_changes(context, watch, watched, idling, idle)
    while not idling.over:  # others share something now who did not, or no more
        watched = context.watched
        with context.ports.news.watch(watched) as wider:
            await _tell_waiting(context, idle=idle)
            await _tell_changes(context, wider, watched, idling, idle)


async def _tell_changes(
    context: Context, watch: Watch, watched: set[AccountId], idling: _Idling, idle: bool
) -> None:
    """Tell what happens in these accounts, as long as they are those to be watched."""
    while not idling.over and context.watched == watched:
        with trio.CancelScope() as idling.waiting:
            await watch.wait()
        if not idling.over and _concerns(watch.take()):
            await _tell_waiting(context, idle=idle)


async def _tell_waiting(context: Context, *, idle: bool) -> None:
    context.check_access()
    notified = context.notified
    at_once = idle or (notified is not None and notified.expunges_at_once)
    await tell(context, expunges=at_once, waiting=True)
    await context.out.flush()


def _concerns(changed: dict[AccountId, tuple[Version, int]]) -> bool:
    """Of anyone's rows, which are the system's too, what is shared with anyone alone matters."""
    return any(
        account != ANYONE or types & TypeCode.RIGHTS.bit for account, (_, types) in changed.items()
    )
