"""What is to be done at a time, done by whoever leads then (storage/due.py); and what is done now
and then (node/trimmer.py).

Every node looks, the leader acts. Should two think that they lead, the commands themselves say
what is done already: nothing is done twice. What cannot be done now is looked at again.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import trio

from node import logs
from node.trimmer import Trimmer
from protocols.ports import Ports, Unavailable
from storage import codes
from storage.due import Due, list_due
from storage.keys import TypeCode
from storage.submissions import number_due
from storage.uploads import plan_expire

# How often we look: so much later than its time may a thing be done.
LOOK_S: Final = 1.0
# Looked at together; with more overdue the next look follows at once.
DUE_MAX: Final = 100

Do = Callable[[Due], Awaitable[None]]

log = logs.named("node.jobs")


class Jobs:
    """One node's."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._trimmer = Trimmer(ports)
        self._do: Final[Mapping[TypeCode, Do]] = {
            TypeCode.UPLOAD: self._expire_upload,
            TypeCode.SUBMISSION: self._send,
            TypeCode.GRANT: self._end_grant,
        }

    async def run(self, leads: Callable[[], bool]) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._trimmer.run, leads, name="trimmer")
            await self._look_again_and_again(leads)

    async def _look_again_and_again(self, leads: Callable[[], bool]) -> None:
        while True:
            if not (leads() and await self.look()):
                await trio.sleep(LOOK_S)

    async def look(self) -> bool:
        """Do what is due; True when more of it is waiting."""
        now_ms = self._ports.clock.now_ms()
        found = list_due(self._ports.reader.local(), now_ms, limit=DUE_MAX)
        for due, _ in found:
            try:
                await self._do[due.kind](due)
            except Unavailable as error:
                log.debug("not now", due=due.kind.name, account=due.account, error=str(error))
                return False
        return len(found) == DUE_MAX

    async def _expire_upload(self, due: Due) -> None:
        await self._ports.writer.write(due.account, lambda plan: plan_expire(plan, due))

    async def _end_grant(self, due: Due) -> None:
        await self._ports.writer.write(due.account, lambda plan: codes.plan_expire(plan, due))

    async def _send(self, due: Due) -> None:
        await self._ports.submitter.send(self._ports, due.account, number_due(due))
