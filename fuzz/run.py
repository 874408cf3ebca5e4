"""`make fuzz`: hostile bytes for every parser, from a seed and a corpus, for a bounded time.

Each target is a function of bytes that may raise nothing but what it names. Inputs are corpus
files mutated by a seeded generator; an input that breaks a target is saved in the corpus under
the name of its hash, where the tests replay it for ever. Exit status 1 when anything broke.
"""

import argparse
import hashlib
import random
import resource
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fuzz.targets import TARGETS

CORPUS: Final = Path(__file__).parent / "corpus"
INPUT_BYTES_MAX: Final = 256 * 1024
# One input may take this long; more is a hang (inputs are small, parsers linear).
INPUT_CPU_S_MAX: Final = 5.0
# A target that breaks this often is broken: no more of the same is saved.
FAILURES_MAX: Final = 10

# What the protocols are made of, and numbers at their edges.
DICTIONARY: Final = (
    b'\r\n|\n|\r|\0|\xff|\x80|{|}|{10}\r\n|{99999999999}\r\n|(|)|[|]|"|\\|<|>|@|:|;|*|%|&|&-|#|/*|'
    b"=?utf-8?B?|?=|=?utf-8?Q?=|--|~{4}\r\n|4294967295|-1|null|1e999|\\ud800|\r\n.\r\n"
).split(b"|")


def mutate(chance: random.Random, seeds: list[bytes]) -> bytes:
    """A new input made of old ones."""
    data = bytearray(chance.choice(seeds))
    for _ in range(1 << chance.randrange(6)):
        at = chance.randrange(len(data) + 1)
        action = chance.randrange(7)
        if action == 0:
            data[at:at] = chance.choice(DICTIONARY)
        elif action == 1:
            del data[at : at + chance.randrange(1, 64)]
        elif action == 2 and data:
            data[min(at, len(data) - 1)] ^= 1 << chance.randrange(8)
        elif action == 3:
            other = chance.choice(seeds)
            start = chance.randrange(len(other) + 1)
            data[at:at] = other[start : start + chance.randrange(256)]
        elif action == 4:
            part = bytes(data[at : at + chance.randrange(1, 32)])
            data[at:at] = part * chance.randrange(1, 200)
        elif action == 5:
            data[at:at] = chance.randbytes(chance.randrange(1, 8))
        else:
            del data[at:]
    return bytes(data[:INPUT_BYTES_MAX])


def broken_by(target: Callable[[bytes], None], data: bytes) -> str | None:
    """What is wrong with how the target takes these bytes; None when all is well."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    try:
        target(data)
    except Exception:
        return traceback.format_exc()
    took = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before
    return f"{took:.1f} s of CPU for {len(data)} bytes" if took > INPUT_CPU_S_MAX else None


def corpus(name: str) -> list[bytes]:
    """The seeds of one target, never empty."""
    files = sorted(path for path in (CORPUS / name).glob("*") if path.is_file())
    return [path.read_bytes() for path in files] or [b""]


def fuzz(name: str, seed: int, seconds: float) -> int:
    """Run one target; how many inputs broke it."""
    chance, seeds = random.Random(f"{name}-{seed}"), corpus(name)
    runs = failures = 0
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and failures < FAILURES_MAX:
        data = mutate(chance, seeds)
        runs += 1
        wrong = broken_by(TARGETS[name], data)
        if wrong is not None:
            failures += 1
            path = CORPUS / name / hashlib.sha256(data).hexdigest()[:16]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            print(f"{name}: broken by {path}\n{wrong}", flush=True)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{name}: seed {seed}, {runs} inputs, {failures} broke it, {memory} MiB", flush=True)
    return failures


def main(words: list[str] | None = None) -> int:
    """Exit status 1 when anything broke."""
    parser = argparse.ArgumentParser(prog="trireme fuzz parsers", description=__doc__)
    parser.add_argument("--target", choices=sorted(TARGETS), action="append")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30.0, help="for each target")
    options = parser.parse_args(words)
    names = options.target or sorted(TARGETS)
    return 1 if sum(fuzz(name, options.seed, options.seconds) for name in names) else 0


if __name__ == "__main__":
    raise SystemExit(main())
