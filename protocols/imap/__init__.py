"""The IMAP door (RFC 9051, RFC 3501): the house opens it by `ImapDoor.converse`."""

from protocols.imap.session import ImapDoor

__all__ = ["ImapDoor"]
