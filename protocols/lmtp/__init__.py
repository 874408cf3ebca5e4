"""The LMTP door (RFC 2033): mail comes in here from the MTA.

octets -> core (content, commands: sans-IO) -> session -> protocols/delivery -> ports.writer
"""

from protocols.lmtp.events import Offer
from protocols.lmtp.session import LmtpDoor

__all__ = ["LmtpDoor", "Offer"]
