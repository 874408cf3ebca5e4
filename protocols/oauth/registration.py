"""Dynamic client registration (RFC 7591), for the public clients of
draft-ietf-mailmaint-oauth-public-05 3.3: programs on their user's own machine.

What a client says of itself is nobody's word; it is shown to users as such. What it leaves out is
filled in; what cannot be is refused, and so is every redirect URI that a web site could have.
"""

import unicodedata
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from protocols.oauth.metadata import CODE_GRANT, DEVICE_GRANT, REFRESH_GRANT
from protocols.oauth.redirects import URI_CHARS_MAX, may_register
from protocols.oauth.scopes import SUPPORTED, ScopeInvalid, choose

REGISTRATION_OCTETS_MAX: Final = 16 * 1024
NAME_CHARS_MAX: Final = 100
SOFTWARE_CHARS_MAX: Final = 255
REDIRECT_URIS_MAX: Final = 8
LIST_MAX: Final = 16

_LINKS: Final = ("client_uri", "logo_uri", "tos_uri", "policy_uri")
_UNNAMED: Final = "A program without a name"


class RegistrationInvalid(ValueError):
    """It cannot be registered so: the error code of RFC 7591 3.2.2, and why."""

    def __init__(self, error: str, why: str) -> None:
        super().__init__(why)
        self.error = error
        self.why = why


@dataclass(frozen=True, slots=True)
class Registration:
    """A client as it is registered; `told` are the properties that the answer repeats."""

    name: str
    uri: str
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    more: bytes
    told: dict[str, Any]


def parse_registration(octets: bytes) -> Registration:
    """What a client asks to be registered as; raises RegistrationInvalid."""
    try:
        said = msgspec.json.decode(octets)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _wrong("the body is not JSON") from error
    if not isinstance(said, dict):
        raise _wrong("the body is no JSON object")
    grants = _texts(said, "grant_types", (CODE_GRANT, REFRESH_GRANT))
    by_code = DEVICE_GRANT not in grants or CODE_GRANT in grants
    responses = _texts(said, "response_types", ("code",) if by_code else ())
    if by_code and not {CODE_GRANT, REFRESH_GRANT} <= set(grants):
        raise _wrong(f"grant_types must have {CODE_GRANT} and {REFRESH_GRANT}")
    if by_code and "code" not in responses:
        raise _wrong("response_types must have code")
    method = said.get("token_endpoint_auth_method", "none")
    if method != "none":
        raise _wrong("token_endpoint_auth_method must be none: there are no client secrets")
    links = {name: _link(said, name) for name in _LINKS}
    software = {name: _text(said, name, SOFTWARE_CHARS_MAX) for name in ("software_id",)}
    version = _text(said, "software_version", SOFTWARE_CHARS_MAX)
    name = _text(said, "client_name", NAME_CHARS_MAX)
    uris = _redirect_uris(said, needed=by_code)
    scopes = _scopes(said)
    told: dict[str, Any] = {
        "redirect_uris": list(uris),
        "token_endpoint_auth_method": "none",
        "grant_types": list(grants),
        "response_types": list(responses),
        "scope": " ".join(scopes),
    }
    more = {"client_name": name, **links, **software, "software_version": version}
    told |= {key: value for key, value in more.items() if value}
    # One software is one client whatever its version (draft 3.3).
    rest = msgspec.msgpack.encode((grants, responses, sorted(links.items()), software))
    return Registration(name.strip() or _UNNAMED, links["client_uri"], uris, scopes, rest, told)


def _wrong(why: str) -> RegistrationInvalid:
    return RegistrationInvalid("invalid_client_metadata", why)


def _redirect_uris(said: dict[str, Any], *, needed: bool) -> tuple[str, ...]:
    uris = said.get("redirect_uris", [])
    if not isinstance(uris, list) or len(uris) > REDIRECT_URIS_MAX or (needed and not uris):
        raise RegistrationInvalid(
            "invalid_redirect_uri", f"redirect_uris must have one to {REDIRECT_URIS_MAX} URIs"
        )
    for uri in uris:
        if not isinstance(uri, str) or not may_register(uri):
            raise RegistrationInvalid(
                "invalid_redirect_uri",
                "a redirect URI begins with http://127.0.0.1/ or http://[::1]/, without a port, or "
                "with a scheme that has a dot in it; it has no fragment, no two dots in a row, and "
                f"at most {URI_CHARS_MAX} characters",
            )
    return tuple(uris)


def _scopes(said: dict[str, Any]) -> tuple[str, ...]:
    text = said.get("scope", "")
    if not isinstance(text, str):
        raise _wrong("scope must be text, with spaces between scopes")
    try:
        return choose(text, SUPPORTED)
    except ScopeInvalid as error:
        raise _wrong(f"scope: {error}") from error


def _texts(said: dict[str, Any], name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    value = said.get(name)
    if value is None:
        return default
    fits = isinstance(value, list) and len(value) <= LIST_MAX
    if not fits or not all(isinstance(each, str) and len(each) <= 255 for each in value):
        raise _wrong(f"{name} must be a list of at most {LIST_MAX} words")
    return tuple(value)


def _text(said: dict[str, Any], name: str, chars_max: int) -> str:
    value = said.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > chars_max:
        raise _wrong(f"{name} must be text of at most {chars_max} characters")
    # Marks that turn text around would let a name show what it does not say.
    if any(unicodedata.category(letter)[0] == "C" for letter in value):
        raise _wrong(f"{name} must have no control characters")
    return value


def _link(said: dict[str, Any], name: str) -> str:
    value = _text(said, name, URI_CHARS_MAX)
    if value and not (value.startswith("https://") and value.isascii() and " " not in value):
        raise _wrong(f"{name} must be an https URL")
    return value
