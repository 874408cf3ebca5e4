"""The keys that this node opens and seals with now (trio): kept on disk, then put to use.

One ring stands behind gossip's packets and the links between nodes. A change of it is durable
before the first packet or link depends on it, so a node that is killed comes back with the keys
that it confirmed.
"""

import trio

from gossip import Keyring
from node import logs
from node.env import Env
from node.foundation import Foundation
from node.keyring import Ring, RingView, write_ring
from node.rpc import Secrets
from node.secret import write_key_file

log = logs.named("node.keys")


class KeyHolder:
    """The live ring."""

    def __init__(self, base: Foundation, env: Env) -> None:
        self.ring = base.ring
        self.secrets = Secrets(*base.ring.secrets)
        """Opens links."""
        self.seals = Keyring(base.cluster, base.ring.in_use.secret, draw_nonce=env.draw)
        """Opens and closes gossip's packets."""
        self.key_file = ""
        """Why the key file does not hold the key in use; nothing while it does."""
        self._base, self._env = base, env
        self.removed = trio.Event()
        """Set when a key opens nothing any more; whoever waited puts another in its place."""
        self._take_up()

    def view(self) -> RingView:
        """What this node tells of its keys."""
        return self.ring.view(self.key_file)

    async def take(self, ring: Ring) -> None:
        """Hold these keys from now on, durably. Raises DiskFailed."""
        if ring != self.ring:
            disk, directory = self._base.disk, self._base.directory
            await self._env.run_blocking(lambda: write_ring(disk, directory, ring))
            self.ring = ring
            self._take_up()
            log.info("keys changed", used=ring.used, held=[key.id for key in ring.keys])
        if ring.in_use.number > 1:
            await self._renew_key_file(ring)

    async def _renew_key_file(self, ring: Ring) -> None:
        """The next node that starts on this machine begins with the key in use."""
        try:
            await self._env.run_blocking(lambda: write_key_file(self._base.config, ring))
        except OSError as error:
            self.key_file = f"{self._base.config.secret_path}: {error.strerror or error}"
            log.warning("the key file holds an old key", reason=self.key_file)
        else:
            self.key_file = ""

    def _take_up(self) -> None:
        secrets = self.ring.secrets
        self.secrets.replace(*secrets)
        held = [self.seals.install(secret) for secret in secrets]
        self.seals.use(held[0])
        if gone := self.seals.held - frozenset(held):
            for key in gone:
                self.seals.remove(key)
            self.removed.set()
