"""What [oauth] of the file means to the doors, and how often strangers may begin something."""

from typing import Final

from node.config_oauth import OauthSection
from node.limits import IPV6_SITE_BITS, Buckets, network_of
from protocols.oauth.scopes import SUPPORTED
from protocols.oauth.settings import KnownClient, OauthSettings
from protocols.ports import Clock
from storage.grants import Terms

# Registrations and device codes of one network, on this node: so many at once, then one a minute.
# Each is rows on every node for a while; an office with new programs stays well under it.
NEWCOMERS_BURST: Final = 30.0
NEWCOMERS_PER_S: Final = 1 / 60
# Wrong user codes of one network: with a thousand devices waiting, a guess in 25 million is right.
GUESSES_BURST: Final = 10.0
GUESSES_PER_S: Final = 1 / 60
# A site of IPv6 may do as much as so many networks, however many it has.
SITE_NETWORKS: Final = 4


class NetworkGate:
    """protocols.oauth.settings.Gate: by the peer's network, and by its site."""

    def __init__(self, clock: Clock, *, burst: float, per_s: float) -> None:
        self._networks = Buckets(burst=burst, per_s=per_s, monotonic_s=clock.monotonic_s)
        self._sites = Buckets(
            burst=SITE_NETWORKS * burst,
            per_s=SITE_NETWORKS * per_s,
            monotonic_s=clock.monotonic_s,
        )

    def site(self, remote: str) -> str:
        """Its IPv4 address, its IPv6 /48."""
        return network_of(remote, IPV6_SITE_BITS)

    def take(self, remote: str) -> bool:
        """Do it once more; False: no."""
        site, network = self.site(remote), network_of(remote)
        if not self._sites.take(site):
            return False
        if not self._networks.take(network):
            self._sites.put_back(site)
            return False
        return True

    def put_back(self, remote: str) -> None:
        """It was not done."""
        self._sites.put_back(self.site(remote))
        self._networks.put_back(network_of(remote))


def oauth_settings(section: OauthSection, clock: Clock) -> OauthSettings:
    """The section, for the HTTP door."""
    return OauthSettings(
        terms=Terms(
            access_ms=1000 * section.access_token_s, refresh_ms=1000 * section.refresh_token_s
        ),
        code_ms=1000 * section.code_s,
        user_code_ms=1000 * section.user_code_s,
        attempts_max=section.attempts,
        registration=section.registration,
        clients={
            client.id: KnownClient(
                client.id, client.name, client.redirect_uris, SUPPORTED, checked=True
            )
            for client in section.client
        },
        newcomers=NetworkGate(clock, burst=NEWCOMERS_BURST, per_s=NEWCOMERS_PER_S),
        guesses=NetworkGate(clock, burst=GUESSES_BURST, per_s=GUESSES_PER_S),
    )
