"""A message's list properties as encoded JSON values, made once at ingest (RFC 8621 4.1.2-4.1.4).

Email/get splices these bytes into its answers as they are, so they must be exactly what the
properties are. Pure: the same summary gives the same bytes on every node.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from protocols.mime.addresses import EmailAddress
from protocols.mime.dates import rfc3339
from protocols.mime.envelope import Summary
from storage.mail.records import LIST_PROPERTIES

_ENCODE: Final = msgspec.json.Encoder().encode


def render_list(summary: Summary) -> tuple[bytes, ...]:
    """One encoded value per name of LIST_PROPERTIES, in its order."""
    return tuple([encode_value(_VALUES[name](summary)) for name in LIST_PROPERTIES])


def _addresses(addresses: Sequence[EmailAddress] | None) -> list[dict[str, Any]] | None:
    if addresses is None:
        return None
    return [{"name": address.name, "email": address.email} for address in addresses]


_VALUES: Final[dict[str, Callable[[Summary], Any]]] = {
    "messageId": lambda summary: summary.message_id,
    "inReplyTo": lambda summary: summary.in_reply_to,
    "references": lambda summary: summary.references,
    "sender": lambda summary: _addresses(summary.sender),
    "from": lambda summary: _addresses(summary.from_),
    "to": lambda summary: _addresses(summary.to),
    "cc": lambda summary: _addresses(summary.cc),
    "bcc": lambda summary: _addresses(summary.bcc),
    "replyTo": lambda summary: _addresses(summary.reply_to),
    "subject": lambda summary: summary.subject,
    "sentAt": lambda summary: None if summary.sent_at is None else rfc3339(summary.sent_at),
    "hasAttachment": lambda summary: summary.has_attachment,
    "preview": lambda summary: summary.preview,
}


def encode_value(value: Any) -> bytes:
    """JSON of what was read from a message.

    Decoding may leave half a surrogate pair where a message smuggled one in; JSON has none.
    """
    try:
        return _ENCODE(value)
    except UnicodeEncodeError:
        return _ENCODE(_without_surrogates(value))


def _without_surrogates(value: Any) -> Any:
    """The value with U+FFFD for each lone surrogate (as RFC 8621 4.1.2 does for bad octets)."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list() | tuple():
            return [_without_surrogates(item) for item in value]
        case dict():
            return {key: _without_surrogates(item) for key, item in value.items()}
        case _:
            return value
