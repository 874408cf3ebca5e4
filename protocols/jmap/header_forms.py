"""RFC 8621 4.1.2 and 4.1.3: `header:{name}:as{Form}:all` properties, and the value of each form."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from protocols.mime import headers
from protocols.mime.addresses import EmailAddress
from protocols.mime.headers import Header

_PROPERTY: Final = re.compile(
    r"header:([!-9;-~]{1,255})(?::as([A-Za-z]{1,20}))?(:all)?\Z", re.ASCII
)

_ADDRESSES: Final = frozenset(
    name
    for plain in ("from", "sender", "reply-to", "to", "cc", "bcc")
    for name in (plain, "resent-" + plain)
)
_IDS: Final = frozenset(("message-id", "in-reply-to", "references", "resent-message-id"))
_DATES: Final = frozenset(("date", "resent-date"))
_TEXTS: Final = frozenset(("subject", "comments", "keywords", "list-id"))
_URLS: Final = frozenset(
    "list-" + name for name in ("help", "unsubscribe", "subscribe", "post", "owner", "archive")
)
# Every field that RFC 5322 or RFC 2369 defines; the forms of others are free (4.1.2).
_DEFINED: Final = (
    _ADDRESSES
    | _IDS
    | _DATES
    | _URLS
    | frozenset(("subject", "comments", "keywords", "return-path", "received"))
)


def address_value(address: EmailAddress) -> dict[str, Any]:
    """RFC 8621 4.1.2.3 EmailAddress."""
    return {"name": address.name, "email": address.email}


def _raw(raw: bytes, _: str | None) -> Any:
    return headers.as_raw(raw)


def _text(raw: bytes, fallback: str | None) -> Any:
    return headers.as_text(raw, fallback)


def _addresses(raw: bytes, fallback: str | None) -> Any:
    return [address_value(address) for address in headers.as_addresses(raw, fallback)]


def _grouped(raw: bytes, fallback: str | None) -> Any:
    return [
        {"name": name, "addresses": [address_value(member) for member in members]}
        for name, members in headers.as_grouped_addresses(raw, fallback)
    ]


def _message_ids(raw: bytes, _: str | None) -> Any:
    return headers.as_message_ids(raw)


def _date(raw: bytes, _: str | None) -> Any:
    return headers.as_date(raw)


def _urls(raw: bytes, _: str | None) -> Any:
    return headers.as_urls(raw)


# Form -> how a value is read, and the defined fields that may be read so.
_FORMS: Final[dict[str, tuple[Callable[[bytes, str | None], Any], frozenset[str] | None]]] = {
    "Raw": (_raw, None),
    "Text": (_text, _TEXTS),
    "Addresses": (_addresses, _ADDRESSES),
    "GroupedAddresses": (_grouped, _ADDRESSES),
    "MessageIds": (_message_ids, _IDS),
    "Date": (_date, _DATES),
    "URLs": (_urls, _URLS),
}


@dataclass(frozen=True, slots=True)
class HeaderProperty:
    """One such property, read: which field, in which form, one or all of its instances."""

    property: str
    name: str
    form: str
    all: bool

    def value(self, fields: Sequence[Header], fallback: str | None) -> Any:
        """What the property is in a header; `fallback` is the charset of unlabelled octets."""
        read = _FORMS[self.form][0]
        if self.all:
            return [read(f.raw, fallback) for f in fields if f.name.lower() == self.name]
        for found in reversed(fields):
            if found.name.lower() == self.name:
                return read(found.raw, fallback)
        return None


@lru_cache(maxsize=1024)
def parse_header_property(text: str) -> HeaderProperty | None:
    """The property, or None: not of this form, or a form its field may not be read in."""
    found = _PROPERTY.match(text)
    if found is None:
        return None
    name, form = found[1].lower(), found[2] or "Raw"
    if form not in _FORMS:
        return None
    allowed = _FORMS[form][1]
    if allowed is not None and name in _DEFINED and name not in allowed:
        return None
    return HeaderProperty(text, name, form, found[3] is not None)


def all_fields(fields: Sequence[Header]) -> list[dict[str, str]]:
    """RFC 8621 4.1.3 EmailHeader[]: every field in order, in Raw form."""
    return [{"name": field.name, "value": headers.as_raw(field.raw)} for field in fields]
