"""What this node says about itself by gossip, and says anew when it changes (trio)."""

from typing import Final

import trio

from gossip import Gossip
from node import VERSION
from node.proposer import Proposer
from node.roster import NodeMeta
from raft import Driver

# How often we look whether there is something new to say.
LOOK_S: Final = 1.0


class Standing:
    """Version, boot epoch, port, and whether the disk answers."""

    def __init__(self, driver: Driver, proposer: Proposer, *, http: int) -> None:
        self._driver = driver
        self._proposer = proposer
        self._http = http

    def meta(self) -> NodeMeta:
        """As things are now."""
        return NodeMeta(
            version=VERSION,
            boot=self._proposer.boot,
            http=self._http,
            disk_ok=not self._driver.status().is_disk_silent,
        )

    async def tell(self, gossip: Gossip) -> None:
        """Until cancelled."""
        while True:
            gossip.set_meta(self.meta().encoded())
            await trio.sleep(LOOK_S)
