"""Scopes (draft-ietf-mailmaint-oauth-public-05 3.7, 5.1.3): mail, and OpenID's word.

Scopes that we do not have are left out, and the client is told what it got (RFC 6749 3.3).
"""

import re
from typing import Final

from protocols.bearer import MAIL_SCOPE

MAIL: Final = MAIL_SCOPE
# Every client gets a refresh token, with this or without.
OFFLINE: Final = "offline_access"
SUPPORTED: Final = (MAIL, OFFLINE)

SCOPE_CHARS_MAX: Final = 1024

_SCOPES: Final = re.compile(r"[!#-\[\]-~]+(?: [!#-\[\]-~]+)*\Z")  # RFC 6749 3.3

SAID: Final = {
    MAIL: "read, write, change and delete your mail, and send mail as you",
    OFFLINE: "stay signed in while you are away, until you change your password",
}


class ScopeInvalid(ValueError):
    """No scope that can be given; the text says why."""


def choose(text: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """The scopes that a client gets of those it asks for; all that are allowed if it names none.

    Raises ScopeInvalid.
    """
    if not text:
        return allowed
    if len(text) > SCOPE_CHARS_MAX or not _SCOPES.match(text):
        raise ScopeInvalid("it is no list of scopes")
    asked = [scope for scope in SUPPORTED if scope in text.split(" ")]
    if any(scope not in allowed for scope in asked):
        raise ScopeInvalid("the client has not registered for it")
    if MAIL not in asked:
        raise ScopeInvalid(f"of the scopes that are asked for, none lets anybody in: use {MAIL}")
    return tuple(asked)
