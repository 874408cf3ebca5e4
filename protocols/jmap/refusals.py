"""What storage.mail refuses, in JMAP's words: one table from each named error to a SetError."""

from typing import Final

from protocols.jmap.errors import SetError
from storage.mail import errors
from storage.mail.errors import MailError

# Error -> SetError type and the property it is about ("" for the object as a whole).
_TYPES: Final[dict[type[MailError], tuple[str, str]]] = {
    errors.MailboxNotFound: ("notFound", ""),
    errors.MailboxExists: ("alreadyExists", "name"),
    errors.MailboxHasChild: ("mailboxHasChild", ""),
    errors.MailboxHasEmail: ("mailboxHasEmail", ""),
    errors.MailboxNameInvalid: ("invalidProperties", "name"),
    errors.MailboxDepth: ("invalidProperties", "parentId"),
    errors.MailboxProtected: ("forbidden", ""),
    errors.MailboxLimit: ("overQuota", ""),
    errors.MailboxTooLarge: ("tooLarge", ""),
    errors.RoleTaken: ("invalidProperties", "role"),
    errors.RoleInvalid: ("invalidProperties", "role"),
    errors.EmailNotFound: ("notFound", ""),
    errors.OverQuota: ("overQuota", ""),
    errors.TooManyMailboxes: ("tooManyMailboxes", ""),
    errors.TooManyEmails: ("tooLarge", ""),
    errors.TooManyKeywords: ("tooManyKeywords", ""),
    errors.KeywordInvalid: ("invalidProperties", "keywords"),
    errors.NoMailbox: ("invalidProperties", "mailboxIds"),
}


def set_error(error: SetError | MailError) -> SetError:
    """The SetError of either; a MailError that is not in the table is a bug and rises."""
    if isinstance(error, SetError):
        return error
    type_, about = _TYPES[type(error)]
    more: dict[str, str] = {}
    if isinstance(error, errors.MailboxExists) and error.mailbox is not None:
        more["existingId"] = f"m{error.mailbox}"  # RFC 8620 5.4
    return SetError(type_, str(error) or None, properties=(about,) if about else (), **more)
