"""What mail refuses, and why: each a named error that a door maps to its own reply.

All are the world's mistakes (a client's, or a limit met), never ours. The command that raises one
leaves nothing behind (`Plan.command`).
"""


class MailError(Exception):
    """Something asked of an account's mail that cannot be done."""


class MailboxNotFound(MailError):
    """No such mailbox in this account."""


class MailboxExists(MailError):
    """A sibling has this name already (for INBOX at the top level: in any case)."""

    def __init__(self, text: str, mailbox: int | None = None) -> None:
        super().__init__(text)
        self.mailbox = mailbox
        """The one that has it, where the door did not look for itself."""


class MailboxHasChild(MailError):
    """A mailbox with children cannot be destroyed (RFC 8621 2.5 mailboxHasChild)."""


class MailboxHasEmail(MailError):
    """A mailbox with email in it was to be destroyed alone (RFC 8621 2.5 mailboxHasEmail)."""


class MailboxNameInvalid(MailError):
    """A name that is empty, too long or has characters that no door could show."""


class MailboxDepth(MailError):
    """Too deep, or inside itself (RFC 8621 2: MUST NOT be a loop)."""


class MailboxProtected(MailError):
    """The inbox stays: at the top level, with its role, for ever (RFC 9051 5.1)."""


class MailboxLimit(MailError):
    """The account has as many mailboxes as it may, or a mailbox has given out its last UID."""


class MailboxTooLarge(MailError):
    """More email than one command may touch: empty it first (`moves.plan_empty`)."""


class RoleTaken(MailError):
    """Another mailbox of the account has this role (RFC 8621 2)."""


class RoleInvalid(MailError):
    """Not a mailbox attribute that can be a role (RFC 8621 2, IANA registry)."""


class EmailNotFound(MailError):
    """No such email in this account."""


class AnchorNotFound(MailError):
    """The anchor of a query is not among its results (RFC 8620 5.5)."""


class OverQuota(MailError):
    """The account's limit in octets leaves no room for this."""


class TooManyMailboxes(MailError):
    """An email in more mailboxes than it may be."""


class TooManyEmails(MailError):
    """More messages in one command than fit one batch: ask in pieces of COMMAND_EMAILS_MAX."""


class TooManyKeywords(MailError):
    """More keywords on an email than it may have, by number or by octets together."""


class KeywordInvalid(MailError):
    """Not a keyword by RFC 8621 4.1.1."""


class AnnotationTooLarge(MailError):
    """A value larger than an annotation may be (RFC 5464 4.3)."""


class TooManyAnnotations(MailError):
    """More annotations on a mailbox than it may have, or more octets in an account."""


class NoPermission(MailError):
    """Another's mailbox, and not with the right that this needs (RFC 4314 4)."""


class TooManyReaders(MailError):
    """A mailbox shared with more accounts than it may be."""


class TooManyFollowed(MailError):
    """Subscriptions to more mailboxes of others than an account may have."""


class TooManyUrlKeys(MailError):
    """Keys for URLs into more mailboxes than a user may have."""


class NoMailbox(MailError):
    """An email must be in at least one mailbox (RFC 8621 2)."""
