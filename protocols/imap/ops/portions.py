"""Long sets of messages in portions, each one command on the account."""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from storage.mail.errors import TooManyEmails
from storage.mail.ledger import COMMAND_EMAILS_MAX


async def in_portions(
    uids: Sequence[int], carry: Callable[[Sequence[int]], Awaitable[None]]
) -> None:
    """Run `carry` on UIDs in portions that each fit one command, in their order.

    How many fit depends on what is written of each, so a portion that is too much is halved.
    """
    waiting = deque(
        uids[start : start + COMMAND_EMAILS_MAX]
        for start in range(0, len(uids), COMMAND_EMAILS_MAX)
    )
    while waiting:
        portion = waiting.popleft()
        try:
            await carry(portion)
        except TooManyEmails:
            if len(portion) == 1:
                raise
            half = len(portion) // 2
            waiting.extendleft((portion[half:], portion[:half]))
