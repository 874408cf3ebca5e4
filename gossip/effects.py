"""What a core wants done: packets, exchanges and news for the house. The driver does them."""

from dataclasses import dataclass

from gossip.messages import Message
from gossip.model import Address


@dataclass(frozen=True, slots=True)
class Send:
    """One packet; `messages` fit into it together."""

    to: Address
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Exchange:
    """Call `to` over a stream with `request`, and give the answer to `Core.hear_answer`."""

    to: Address
    request: Message


Effect = Send | Exchange
