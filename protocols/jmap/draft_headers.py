"""RFC 8621 4.1.2-4.1.3 backwards: header properties of a create to rendered field values."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from protocols.jmap.errors import invalid_properties
from protocols.jmap.header_forms import parse_header_property
from protocols.mime.addresses import EmailAddress, Group
from protocols.mime.build import address_list, encode_text
from protocols.mime.dates import render_date

# Properties with a name of their own -> the field and form they stand for (4.1.3).
CONVENIENCE: Final[Mapping[str, tuple[str, str]]] = {
    "messageId": ("Message-ID", "MessageIds"),
    "inReplyTo": ("In-Reply-To", "MessageIds"),
    "references": ("References", "MessageIds"),
    "sender": ("Sender", "Addresses"),
    "from": ("From", "Addresses"),
    "to": ("To", "Addresses"),
    "cc": ("Cc", "Addresses"),
    "bcc": ("Bcc", "Addresses"),
    "replyTo": ("Reply-To", "Addresses"),
    "subject": ("Subject", "Text"),
    "sentAt": ("Date", "Date"),
}
# RFC 3339 5.6: fromisoformat takes more, and checks the values.
_DATE: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)\Z", re.ASCII
)
_FOLD: Final = re.compile(r"\r\n(?=[ \t])")


class _Unfit(Exception):
    """The value is not of the form's type."""


def field_of(property_: str) -> str:
    """The lower-case name of the field that a `header:` property sets; else nothing."""
    return property_.split(":")[1].lower() if property_.startswith("header:") else ""


def fields_of(values: Mapping[str, Any], *, about: str | None = None) -> list[tuple[str, str]]:
    """The fields that an Email's or a body part's properties set, in the order they are given.

    Raises SetError for a field set twice, in a form it may not have, or with a value that is
    not of that form; `about` is the property errors name (None: the one at fault).
    """
    fields: list[tuple[str, str]] = []
    seen: dict[str, str] = {}
    for name, value in values.items():
        if about is None and name in CONVENIENCE:
            field, form, every = *CONVENIENCE[name], False
        elif name.startswith("header:"):
            found = parse_header_property(name)
            if found is None:
                raise invalid_properties(f"no such header property: {name[:100]!r}", about or name)
            field, form, every = name.split(":")[1], found.form, found.all
        else:
            continue
        if (first := seen.setdefault(field.lower(), name)) != name:
            both = (about,) if about else (first, name)
            raise invalid_properties(f"{field} is given twice", *both)
        if value is None:
            continue
        try:
            rendered = [_WRITERS[form](one) for one in _instances(value, every)]
        except _Unfit:
            raise invalid_properties(f"{name[:100]!r} has a wrong value", about or name) from None
        # RFC 5322 3.6 has no field of addresses or message ids without one of them.
        fields += [(field, one) for one in rendered if one or form not in _OF_LISTS]
    return fields


def _instances(value: Any, every: bool) -> list[Any]:
    if not every:
        return [value]
    if not isinstance(value, list):
        raise _Unfit
    return value


def _text(value: Any) -> str:
    """What is to be read so, as asText does it: an encoded word that stands in it is text too."""
    if not isinstance(value, str):
        raise _Unfit
    return encode_text(value.strip())


def _raw(value: Any) -> str:
    """A field's value as it is to stand there; folds it has are made anew where they are needed."""
    if not isinstance(value, str):
        raise _Unfit
    unfolded = _FOLD.sub("", value)
    if any(c in "\r\n\0" for c in unfolded):
        raise _Unfit  # the rest would be a field of its own
    return unfolded.strip()


def _addresses(value: Any) -> str:
    return address_list([_address(item) for item in _listed(value)])


def _address(value: Any) -> EmailAddress:
    match value:
        case {"email": str() as email, **rest} if not rest.keys() - {"name"}:
            name = rest.get("name")
            if name is None or isinstance(name, str):
                # A line end in an address would begin a field of its own choosing.
                return EmailAddress(name, " ".join(email.split()))
    raise _Unfit


def _groups(value: Any) -> str:
    items: list[EmailAddress | Group] = []
    for group in _listed(value):
        match group:
            case {"name": None, "addresses": list() as members}:
                items += [_address(member) for member in members]
            case {"name": str() as name, "addresses": list() as members}:
                items.append(Group(name, tuple(_address(member) for member in members)))
            case _:
                raise _Unfit
    return address_list(items)


def _bracketed(separator: str) -> Callable[[Any], str]:
    def write(value: Any) -> str:
        items = _listed(value)
        for item in items:
            if not isinstance(item, str) or not item or any(c in "<> \t\r\n" for c in item):
                raise _Unfit
        return separator.join(f"<{item}>" for item in items)

    return write


def _date(value: Any) -> str:
    if not isinstance(value, str) or not _DATE.match(value):
        raise _Unfit
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise _Unfit from None
    if moment.tzinfo is None:
        raise _Unfit
    return render_date(moment)


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _Unfit
    return value


_OF_LISTS: Final = ("Addresses", "GroupedAddresses", "MessageIds", "URLs")

_WRITERS: Final[Mapping[str, Callable[[Any], str]]] = {
    "Raw": _raw,
    "Text": _text,
    "Addresses": _addresses,
    "GroupedAddresses": _groups,
    "MessageIds": _bracketed(" "),
    "Date": _date,
    "URLs": _bracketed(", "),
}
