"""Long sets of messages in portions, each one command on the account."""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from storage.mail.errors import TooManyEmails
from storage.mail.ledger import COMMAND_EMAILS_MAX

Carry = Callable[[Sequence[int]], Awaitable[Sequence[int] | None]]


async def in_portions(uids: Sequence[int], carry: Carry) -> None:
    """Run `carry` on UIDs in portions that each fit one command, in their order.

    How many fit depends on what is written of each: `carry` may give back those it has left for the
    next command, and a portion that is too much all the same is halved.
    """
    waiting = deque(
        uids[start : start + COMMAND_EMAILS_MAX]
        for start in range(0, len(uids), COMMAND_EMAILS_MAX)
    )
    while waiting:
        portion = waiting.popleft()
        try:
            left = await carry(portion)
        except TooManyEmails:
            if len(portion) == 1:
                raise
            half = len(portion) // 2
            waiting.extendleft((portion[half:], portion[:half]))
        else:
            if left:
                waiting.appendleft(left)
