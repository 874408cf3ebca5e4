"""The same commands give the same log and the same state in every process.

Python orders sets of strings by a seed of its own per process; nothing replicated may follow it.
"""

import os
import subprocess
import sys
from pathlib import Path

SCENE = """
from storage.dump import state_hash
from storage.accounts import plan_set_aliases
from storage.keys import TypeCode
from storage import changes
from tests.fakes import make_house

house = make_house({"alice@example.org": "s", "bob@example.org": "s"})
alice = house.accounts["alice@example.org"]
names = [f"name{number}@example.org" for number in range(30)]
house.run(lambda plan: plan_set_aliases(plan, alice, names))
house.run(lambda plan: plan_set_aliases(plan, alice, names[10:]))
house.run(lambda plan: changes.record(plan, alice, TypeCode.EMAIL, created={9, 2**40, 3, 77}))
house.run(lambda plan: changes.record_vanished(plan, alice, 1, {9, 2**31, 3, 77}))
print(state_hash(house.engine).hex(), house.applier.chain.hex())
"""


def run(seed: int) -> str:
    return subprocess.run(
        [sys.executable, "-c", SCENE],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": str(seed)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_hash_seeds_make_no_difference() -> None:
    assert len({run(seed) for seed in (0, 1, 4_000_000_000)}) == 1
