"""How a door's core says that bytes were wrong, and whose fault it was.

RemoteProtocolError: the other side broke the protocol or one of its limits; the door turns it
into a reply in the protocol's own terms. LocalProtocolError: we did; a bug, and it rises.
"""


class ProtocolError(Exception):
    """Either side broke the protocol."""


class LocalProtocolError(ProtocolError):
    """We used a core wrongly: a bug of ours."""


class RemoteProtocolError(ProtocolError):
    """The peer sent what the protocol or a limit does not allow; the text may be shown to it."""


class LimitExceeded(RemoteProtocolError):
    """The peer went over a named limit; `limit` names it."""

    def __init__(self, limit: str, message: str) -> None:
        super().__init__(message)
        self.limit = limit
