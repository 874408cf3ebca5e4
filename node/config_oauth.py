"""[oauth] of cluster.toml: how long consent and tokens are good, and which programs are known."""

from typing import Annotated, Final

import msgspec

from node.config_section import Section
from protocols.oauth.asking import CLIENT_CHARS_MAX
from protocols.oauth.redirects import may_configure
from protocols.oauth.registration import NAME_CHARS_MAX, REDIRECT_URIS_MAX
from protocols.oauth.settings import ACCESS_S, ATTEMPTS_MAX, CODE_S, REFRESH_S, USER_CODE_S

DAY_S: Final = 86_400


class OauthClient(Section, frozen=True, kw_only=True):
    """[[oauth.client]]: a program with an id of its own, as those that cannot register need, and
    web clients, which may not."""

    id: Annotated[
        str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=CLIENT_CHARS_MAX)
    ]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARS_MAX)]
    redirect_uris: Annotated[tuple[str, ...], msgspec.Meta(max_length=REDIRECT_URIS_MAX)] = ()
    """https URLs, or as whoever registers may have, http://localhost/ too; none: devices alone."""


class OauthSection(Section, frozen=True, kw_only=True):
    """[oauth]: how long codes and tokens are good, in seconds, and who may ask users for access."""

    access_token_s: Annotated[int, msgspec.Meta(ge=60, le=DAY_S)] = ACCESS_S
    refresh_token_s: Annotated[int, msgspec.Meta(ge=3600, le=3650 * DAY_S)] = REFRESH_S
    """From when it was last used: a program that is away for longer signs in anew."""
    code_s: Annotated[int, msgspec.Meta(ge=30, le=3600)] = CODE_S
    user_code_s: Annotated[int, msgspec.Meta(ge=60, le=3600)] = USER_CODE_S
    attempts: Annotated[int, msgspec.Meta(ge=1, le=20)] = ATTEMPTS_MAX
    """Wrong passwords at one user code; then it is dead."""
    registration: bool = True
    """Whether programs register themselves (RFC 7591), as Thunderbird and others must."""
    client: tuple[OauthClient, ...] = ()


def wrong_client(section: OauthSection) -> tuple[int, str, str] | None:
    """The first client of the file that cannot be: which, the key, and what to do."""
    seen: set[str] = set()
    for index, client in enumerate(section.client):
        if client.id in seen:
            return index, "id", f"'{client.id}' is there twice: give each client its own."
        seen.add(client.id)
        for uri in client.redirect_uris:
            if not may_configure(uri):
                mend = (
                    f"'{uri}' is no redirect URI: write https://host/path, http://127.0.0.1/path "
                    "or org.example.program:/path, without # and '..'."
                )
                return index, "redirect-uris", mend
    return None
