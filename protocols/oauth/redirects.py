"""Redirect URIs: which may be registered, which are the same, and how an answer goes by one.

draft-ietf-mailmaint-oauth-public-05 3.3, 3.4: whoever registers himself is led back to his own
machine alone, to a loopback address or by a scheme of his own. Loopback ports are free (RFC 8252
7.3), for a program takes what it gets; all else is compared letter by letter (RFC 9700 4.1.3).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote, urlencode

URI_CHARS_MAX: Final = 512

_URI: Final = re.compile(r"[!$&-;=?-Z_a-z~%@\[\]]+\Z")
# RFC 3986 3.1, with the dot of a domain in it: a word of its own (http, javascript) has none.
_PRIVATE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+-]*(?:\.[A-Za-z0-9+-]+)+:")
_OWN_LOOPBACK: Final = ("http://127.0.0.1/", "http://[::1]/")
_LOOPBACK: Final = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]|localhost))(:[0-9]{1,5})?(/.*)\Z")
_HTTPS: Final = re.compile(r"https://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/")
_PORT_MAX: Final = 65_535


def may_register(uri: str) -> bool:
    """Whether anybody may register it."""
    own = uri.startswith(_OWN_LOOPBACK) or _PRIVATE.match(uri) is not None
    return own and _is_plain(uri)


def may_configure(uri: str) -> bool:
    """Whether an operator may: pages of a web client too."""
    loopback = _LOOPBACK.match(uri)
    here = loopback is not None and loopback[2] is None
    return _is_plain(uri) and (here or may_register(uri) or _HTTPS.match(uri) is not None)


def _is_plain(uri: str) -> bool:
    return len(uri) <= URI_CHARS_MAX and _URI.match(uri) is not None and ".." not in uri


def is_registered(uri: str, registered: Iterable[str]) -> bool:
    """Whether a client may be led back there: one of these, but for a loopback's port."""
    if len(uri) > URI_CHARS_MAX + len(":65535"):
        return False
    loopback = _LOOPBACK.match(uri)
    if loopback is not None:
        if loopback[2] is None or not 0 < int(loopback[2][1:]) <= _PORT_MAX:
            return False
        uri = loopback[1] + loopback[3]
    return uri in registered


def led_back(uri: str, answer: Mapping[str, str]) -> str:
    """The URI with an answer in its query (RFC 6749 4.1.2)."""
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode(answer, quote_via=quote)}"


def form_source(uri: str) -> str:
    """What a page's policy must allow for its form to lead there (CSP 3, form-action).

    An IPv6 address cannot be written there, so for that one the scheme stands alone.
    """
    scheme, _, rest = uri.partition(":")
    if scheme.lower() not in ("http", "https") or rest.startswith("//["):
        return f"{scheme}:"
    return f"{scheme}://{rest.removeprefix('//').partition('/')[0]}"
