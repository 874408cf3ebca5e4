"""Addresses in the one form they are looked up in.

Local part and domain in lower case, the domain as IDNA A-labels are written by clients or as
UTF-8 (RFC 6532), both NFC. Local parts are folded too: that is every receiving host's right
(RFC 5321 2.4), and what people expect.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

LOCAL_BYTES_MAX: Final = 64  # RFC 5321 4.5.3.1.1
DOMAIN_BYTES_MAX: Final = 255  # RFC 5321 4.5.3.1.2
LABEL_BYTES_MAX: Final = 63  # RFC 1035 2.3.4
# RFC 5233 1: what divides user from detail.
SEPARATOR: Final = "+"
# Addresses as they were written lately, and their forms: mail comes for the same people again.
REMEMBERED_MAX: Final = 1_024
REMEMBERED_CHARS_MAX: Final = 320

# RFC 5321 4.1.2 Dot-string with RFC 6531 3.3's UTF-8; the quoted form is refused for accounts.
_LOCAL: Final = re.compile(
    r"[^\s\x00-\x20\x7f\"(),:;<>@\[\]\\.]+(\.[^\s\x00-\x20\x7f\"(),:;<>@\[\]\\.]+)*"
)
_LABEL: Final = re.compile(r"[^\W_](?:[\w-]*[^\W_])?")


class AddressInvalid(ValueError):
    """The text is no address an account can have."""


def fold_domain(text: str) -> str:
    """A domain in the form it is looked up in; raises AddressInvalid."""
    domain = unicodedata.normalize("NFC", text.lower()).removesuffix(".")
    labels = domain.split(".")
    if len(domain.encode()) > DOMAIN_BYTES_MAX or any(
        len(label.encode()) > LABEL_BYTES_MAX or not _LABEL.fullmatch(label) for label in labels
    ):
        raise AddressInvalid(f"{text!r} is no domain")
    return domain


def fold_address(text: str) -> str:
    """An address in the form it is looked up in; raises AddressInvalid."""
    return _remembered(text) if len(text) <= REMEMBERED_CHARS_MAX else _fold_address(text)


@lru_cache(REMEMBERED_MAX)
def _remembered(text: str) -> str:
    return _fold_address(text)


def _fold_address(text: str) -> str:
    local, at, domain = text.rpartition("@")
    local = unicodedata.normalize("NFC", local.lower())
    if not at or len(local.encode()) > LOCAL_BYTES_MAX or not _LOCAL.fullmatch(local):
        raise AddressInvalid(f"{text!r} is no address")
    return f"{local}@{fold_domain(domain)}"


def without_detail(address: str) -> str:
    """RFC 5233: the address that user+detail is delivered as."""
    local, at, domain = address.rpartition("@")
    return (local.partition(SEPARATOR)[0] or local) + at + domain
