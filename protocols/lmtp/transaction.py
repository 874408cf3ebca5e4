"""One mail transaction (RFC 5321 3.3), sans-IO: who it is for, what has come of its message.

It begins with a MAIL that is taken and ends with the replies to its message, or with a reset; what
its message holds of the budget is free again then.
"""

from collections.abc import Sequence
from typing import Final

from protocols.lmtp import replies
from protocols.lmtp.commands import Address, Mail
from protocols.lmtp.content import Budget, Draft
from protocols.lmtp.events import MessageReceived, Offer, Recipient
from protocols.lmtp.replies import Reply
from protocols.ports import Route

# Accounts and addresses elsewhere that a transaction with many recipients leads to.
PLACES_MAX: Final = 10_000


def early_refusal(mail: Mail, offer: Offer, budget: Budget) -> Reply | None:
    """Why a MAIL begins nothing: the announced size does not fit (RFC 1870 6.1).

    Nothing is set aside for it: announcing much and sending nothing must not cost others.
    """
    if mail.size is not None and mail.size > offer.message_bytes_max:
        return replies.MESSAGE_TOO_BIG
    return replies.NO_ROOM if (mail.size or 0) > budget.room else None


class Transaction:
    """What a MAIL began."""

    def __init__(self, mail: Mail, offer: Offer, budget: Budget) -> None:
        self.mail: Final = mail
        self.draft: Final = Draft(budget, bytes_max=offer.message_bytes_max)
        self._recipients_max = offer.recipients_max
        self._recipients: list[Recipient] = []
        self._places = 0  # where their mail goes

    @property
    def full(self) -> bool:
        """No more recipients are taken."""
        return len(self._recipients) >= self._recipients_max

    def may_name(self, recipient: Address) -> bool:
        """RFC 6531 3.5: what is not ASCII needs the parameter SMTPUTF8 of MAIL."""
        return recipient.ascii or self.mail.smtputf8

    def add(self, address: Address, route: Route) -> bool:
        """A recipient, and where its mail goes; False when that is to too many places.

        The first is taken whatever it leads to: a large list must be reached somehow.
        """
        places = len(route.accounts) + len(route.elsewhere)
        if self._recipients and self._places + places > PLACES_MAX:
            return False
        self._places += places
        self._recipients.append(Recipient(address, route))
        return True

    def received(self, client: str) -> MessageReceived | Sequence[Reply]:
        """The whole message has come. It was kept, or each recipient is told why not."""
        refusal = self.draft.refusal
        if refusal is not None:
            return [refusal] * len(self._recipients)
        return MessageReceived(self.mail, tuple(self._recipients), self.draft.finish(), client)

    def close(self) -> None:
        """It is over."""
        self.draft.close()
