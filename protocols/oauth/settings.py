"""What an operator may set of OAuth, and how often strangers may ask."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from storage.grants import Terms

# The lifetimes of the reference. draft-ietf-mailmaint-oauth-public-05 3.4, 3.9: a code is good for
# ten minutes at least, an access token for an hour, a refresh token for 30 days unused.
ACCESS_S: Final = 3600
REFRESH_S: Final = 30 * 86_400
CODE_S: Final = 600
USER_CODE_S: Final = 1800
# Wrong passwords at one user code; then it is dead.
ATTEMPTS_MAX: Final = 3
TERMS: Final = Terms(access_ms=1000 * ACCESS_S, refresh_ms=1000 * REFRESH_S)


class Gate(Protocol):
    """A limit on what a peer may do, by its IP address."""

    def site(self, remote: str) -> str:
        """Whose it surely is: what one stranger may have many addresses of."""

    def take(self, remote: str) -> bool:
        """Do it once more; False: no."""

    def put_back(self, remote: str) -> None:
        """What was taken for was not done."""


class OpenGate:
    """No limit."""

    def site(self, remote: str) -> str:
        """Each address by itself."""
        return remote

    def take(self, remote: str) -> bool:
        """Always."""
        return True

    def put_back(self, remote: str) -> None:
        """Nothing was taken."""


@dataclass(frozen=True, slots=True)
class KnownClient:
    """A client that may ask users: one of the file, or one that registered."""

    client: str
    name: str
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    uri: str = ""
    checked: bool = False
    """The operator has put it into the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OauthSettings:
    """`clients`: those of the file, by id. `newcomers` bounds what strangers may begin, which
    takes room (registrations, device codes); `guesses` user codes that are none."""

    terms: Terms = TERMS
    code_ms: int = 1000 * CODE_S
    user_code_ms: int = 1000 * USER_CODE_S
    attempts_max: int = ATTEMPTS_MAX
    registration: bool = True
    clients: Mapping[str, KnownClient] = field(default_factory=dict)
    newcomers: Gate = field(default_factory=OpenGate)
    guesses: Gate = field(default_factory=OpenGate)
