"""RFC 8098 message disposition notifications as RFC 9007 MDN objects: written and read.

Everything a client gives becomes one header field each, so that nothing in it begins another.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from protocols.mime import headers, structure
from protocols.mime.addresses import EmailAddress
from protocols.mime.bodies import body_bytes, body_text
from protocols.mime.build import PartSpec, address_list, encode_text, render_field, text_part
from protocols.mime.parts import Part, walk

NOTIFICATION: Final = "message/disposition-notification"
REPORT_TYPE: Final = "disposition-notification"

ACTION_MODES: Final = ("manual-action", "automatic-action")
SENDING_MODES: Final = ("mdn-sent-manually", "mdn-sent-automatically")
TYPES: Final = ("deleted", "dispatched", "displayed", "processed")

# RFC 8098 3.1: the fields with meanings; all others are extensions.
_KNOWN: Final = {
    "reporting-ua": "reportingUA",
    "mdn-gateway": "mdnGateway",
    "original-recipient": "originalRecipient",
    "final-recipient": "finalRecipient",
    "original-message-id": "originalMessageId",
}
_OTHERS: Final = frozenset(("disposition", "error"))
_EXTENSION: Final = re.compile(r"[!-9;-~]{1,100}\Z", re.ASCII)
# RFC 8098 3.2.6: action-mode "/" sending-mode ";" type ["/" modifiers].
_DISPOSITION: Final = re.compile(r"\s*([a-z-]+)\s*/\s*([a-z-]+)\s*;\s*([a-z-]+)\s*(?:/|\Z)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a notification says, in the words of RFC 9007 2; None where nothing is said."""

    subject: str
    text: str
    disposition: tuple[str, str, str]
    """Action mode, sending mode, type."""
    final_recipient: str
    reporting_ua: str | None = None
    original_recipient: str | None = None
    original_message_id: str | None = None
    extension: Mapping[str, str] | None = None


def is_extension_name(name: str) -> bool:
    """Whether a field of this name may be added to a notification."""
    return bool(_EXTENSION.match(name)) and name.lower() not in {*_KNOWN, *_OTHERS}


def header_of(
    receipt: Receipt, sender: EmailAddress, recipients: Sequence[EmailAddress]
) -> list[tuple[str, str]]:
    """The fields of the message that carries a notification, but for its date and id."""
    fields = [
        ("From", address_list([sender])),
        ("To", address_list(recipients)),
        ("Subject", encode_text(receipt.subject)),
        ("Auto-Submitted", "auto-replied"),  # RFC 3834 5
    ]
    if receipt.original_message_id is not None:
        fields.append(("References", receipt.original_message_id))
    return fields


def report_of(receipt: Receipt, original: bytes | None) -> PartSpec:
    """RFC 8098 3: the multipart/report; `original` is the message it is about, if that goes too."""
    children = [text_part(receipt.text), PartSpec(content_type=NOTIFICATION, body=_fields(receipt))]
    if original is not None:
        children.append(PartSpec(content_type="message/rfc822", body=original))
    return PartSpec(
        content_type="multipart/report",
        params={"report-type": REPORT_TYPE},
        children=tuple(children),
    )


def _fields(receipt: Receipt) -> bytes:
    action, sending, type_ = receipt.disposition
    given = (
        ("Reporting-UA", receipt.reporting_ua),
        ("Original-Recipient", receipt.original_recipient),
        ("Final-Recipient", receipt.final_recipient),
        ("Original-Message-ID", receipt.original_message_id),
        ("Disposition", f"{action}/{sending}; {type_}"),
        *(receipt.extension or {}).items(),
    )
    return b"".join(render_field(name, value) for name, value in given if value is not None)


def parse_receipt(message: bytes) -> dict[str, Any] | None:
    """The MDN object in a message (RFC 9007 2.2); None when it is none."""
    root, fields = structure.read(message)
    parts = [part for part in walk(root) if not part.is_multipart]
    report = next((part for part in parts if part.content_type == NOTIFICATION), None)
    if root.content_type != "multipart/report" or report is None:
        return None
    body = body_bytes(message, report)
    told = _read_fields(headers.split(body, 0, len(body)))
    if told is None:
        return None
    subject = headers.last(fields, "subject")
    return {
        "forEmailId": None,
        "subject": None if subject is None else headers.as_text(subject.raw),
        "textBody": _first_text(message, parts),
        "includeOriginalMessage": any(
            part.type == "message" and part is not report for part in parts
        ),
        **told,
    }


def _first_text(message: bytes, parts: Sequence[Part]) -> str | None:
    found = next((part for part in parts if part.content_type == "text/plain"), None)
    return None if found is None else body_text(message, found)[0]


def _read_fields(fields: Sequence[headers.Header]) -> dict[str, Any] | None:
    told: dict[str, Any] = dict.fromkeys(_KNOWN.values())
    errors: list[str] = []
    extension: dict[str, str] = {}
    disposition: dict[str, str] | None = None
    for field in fields:
        name, value = field.name.lower(), headers.as_text(field.raw).strip()
        if name in _KNOWN:
            told[_KNOWN[name]] = value
        elif name == "disposition":
            disposition = _read_disposition(value)
        elif name == "error":
            errors.append(value)
        else:
            extension[field.name] = value
    if disposition is None:
        return None
    return {
        **told,
        "disposition": disposition,
        "error": errors or None,
        "extensionFields": extension or None,
    }


def _read_disposition(value: str) -> dict[str, str] | None:
    found = _DISPOSITION.match(value.lower())
    if found is None:
        return None
    action, sending, type_ = found.groups()
    if action not in ACTION_MODES or sending not in SENDING_MODES or type_ not in TYPES:
        return None
    return {"actionMode": action, "sendingMode": sending, "type": type_}
