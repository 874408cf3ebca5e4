"""What the world refuses, as a command's ending: the one place."""

from typing import Final

from protocols.errors import RemoteProtocolError
from protocols.imap.filters import UndefinedFilter
from protocols.imap.ops.context import OverLimit, refusal
from protocols.imap.responses import CORRUPTION, UNAVAILABLE, Ending, no, refused
from protocols.ports import Damaged, Unavailable
from storage.mail.errors import MailError

REFUSALS: Final = (Unavailable, MailError, OverLimit, UndefinedFilter, RemoteProtocolError)
"""All that an op may raise and `ending_of` knows."""


def ending_of(error: Exception) -> Ending:
    """How the command ends that was refused so."""
    match error:
        case Damaged():
            return CORRUPTION
        case Unavailable():
            return UNAVAILABLE
        case MailError():
            return refusal(error)
        case OverLimit():
            return no("Too many messages at once; ask for fewer", error.code)
        case UndefinedFilter():
            return no("No such filter", b"UNDEFINED-FILTER " + error.name)
        case RemoteProtocolError():
            return refused(error)
    raise AssertionError(error)
