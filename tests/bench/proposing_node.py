"""A real node that also proposes: what `tests.bench.proposals` starts three of.

The node is the one that `trireme node` runs, doors and all. Beside it, in its own loop, stand
writers with an account each: they write through the house's proposer as doors do, and wait, as
doors do, until the write is durable on a majority and applied here. A line on standard input asks
for a run ("proposers seconds octets"), a line on standard output tells how many writes it made.
"""

import json
import sys
import time
from pathlib import Path
from typing import Final

import trio

from node import logs
from node.config import Config, load
from node.env import real_env
from node.foundation import lay_foundation
from node.house import House
from node.run import SWITCH_INTERVAL_S
from node.secret import ensure_secret
from storage.ids import AccountId
from storage.keys import account_prefix
from storage.plan import Plan

# Accounts of the writers: far above those that the file makes.
FIRST_ACCOUNT: Final = 1_000_000


async def _propose(house: House, proposers: int, seconds: float, octets: int) -> dict[str, float]:
    """Writers one after the other each, all beside one another, for so long."""
    counts = [0] * proposers
    began = time.perf_counter()
    until = began + seconds

    async def writer(number: int) -> None:
        account = AccountId(FIRST_ACCOUNT + number)
        key = account_prefix(account) + b"bench"
        value = bytes([number % 256]) * octets

        def put(plan: Plan) -> None:
            plan.touch(account, 0)
            plan.put(key, value)

        while time.perf_counter() < until:
            await house._proposer.write(account, put)
            counts[number] += 1

    async with trio.open_nursery() as nursery:
        for number in range(proposers):
            nursery.start_soon(writer, number)
    return {"writes": sum(counts), "seconds": time.perf_counter() - began}


async def _obey(house: House, stopping: trio.Event) -> None:
    """Until standard input ends."""
    while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
        proposers, seconds, octets = line.split()
        done = await _propose(house, int(proposers), float(seconds), int(octets))
        print(json.dumps(done), flush=True)
    stopping.set()


async def _run(config: Config, name: str) -> None:
    env = real_env(config.data_directory(name))
    house = House(lay_foundation(config, name, env), env)
    stopping = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(house.run, stopping)
        nursery.start_soon(_obey, house, stopping)


def main() -> None:
    """One node of ./cluster.toml, by its name."""
    config = load(Path("cluster.toml").resolve())
    name = sys.argv[1]
    config.data_directory(name).mkdir(parents=True, exist_ok=True)
    logs.set_up(name, level=config.log.level, form=config.log.format)
    ensure_secret(config)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    trio.run(_run, config, name)


if __name__ == "__main__":
    main()
