"""Where in a TOML file a key stands: for error messages, so a near answer is good enough.

tomllib gives values without places. This follows table headers and `key =` lines, which is how
people write cluster files; a key inside an inline table is reported at the table's line.
"""

import re
from collections import Counter
from typing import Final

Where = tuple[str | int, ...]

_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY: Final = re.compile(r"\s*([A-Za-z0-9_\-.\"']+)\s*=")


def _names(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in dotted.split(".")]


def line_of(text: str, where: Where) -> int:
    """The line (from 1) of the key at `where`, else of the deepest table of it that is there."""
    best, best_depth = 1, 0
    seen: Counter[str] = Counter()
    table: list[str | int] = []
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header is not None:
            table = list(_names(header[2]))
            if header[1] == "[[":
                table.append(seen[header[2]])
                seen[header[2]] += 1
            place: list[str | int] = table
        else:
            key = _KEY.match(line)
            if key is None:
                continue
            place = [*table, *_names(key[1])]
        depth = len(place)
        if depth > best_depth and tuple(place) == where[:depth]:
            best, best_depth = number, depth
    return best
