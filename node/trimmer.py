"""Change logs kept short, account after account, by whoever leads then (storage/trimming.py).

A pass looks at every account and writes only where something is to be noted or forgotten; what a
leader did not finish, the next one finds in the rows. Batches are small and come with pauses, so
mail goes first.
"""

from collections.abc import Callable
from typing import Final

import trio

from node import logs
from protocols.ports import Ports, Unavailable
from storage.audit import next_account
from storage.ids import AccountId
from storage.trimming import is_due, plan_keep

# Between two passes: a log is longer than it must be for so long, and a day by storage/trimming.py.
PASS_S: Final = 6 * 3600.0
# A node that does not lead, or could not write, asks again after this.
LOOK_S: Final = 60.0
# After each batch: at most 20,000 rows a second go.
BATCH_PAUSE_S: Final = 0.1
# Accounts looked at before others may run.
LOOKED_AT_MAX: Final = 64

log = logs.named("node.trimmer")


class Trimmer:
    """One node's."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    async def run(self, leads: Callable[[], bool]) -> None:
        """Until cancelled."""
        while True:
            if leads() and await self.trim(leads):
                await trio.sleep(PASS_S)
            else:
                await trio.sleep(LOOK_S)

    async def trim(self, leads: Callable[[], bool]) -> bool:
        """One pass; False when it could not come to its end."""
        account = next_account(self._ports.reader.local(), None)
        looked_at = trimmed = 0
        while account is not None and leads():
            if is_due(self._ports.reader.local(), account, self._ports.clock.now_ms()):
                try:
                    await self._keep(account)
                except Unavailable as error:
                    log.debug("not now", account=account, error=str(error))
                    return False
                trimmed += 1
            looked_at += 1
            if looked_at % LOOKED_AT_MAX == 0:
                await trio.lowlevel.checkpoint()
            account = next_account(self._ports.reader.local(), account)
        if trimmed:
            log.info("change logs trimmed", accounts=trimmed)
        return account is None

    async def _keep(self, account: AccountId) -> None:
        more = True
        while more:
            more = await self._ports.writer.write(account, lambda plan: plan_keep(plan, account))
            await trio.sleep(BATCH_PAUSE_S)
