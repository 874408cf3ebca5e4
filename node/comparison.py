"""What the reports of all nodes come to: who differs, from whom, and what can be done. Pure."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

from node.inspection import DONE, Report

EVERY_NODE: Final = "every node"
# Accounts named of those in which a node differs.
NAMED_MAX: Final = 10


class Difference(msgspec.Struct, frozen=True):
    """One thing that is not as it should be."""

    node: str
    what: str


class Conclusion(msgspec.Struct, frozen=True):
    """All of them; and the nodes whose rows a majority contradicts."""

    differences: list[Difference]
    outvoted: list[str]


def conclude(reports: Mapping[str, Report | None]) -> Conclusion:
    """`reports` by node, None for one that did not answer."""
    found: list[Difference] = []
    whole: dict[str, Report] = {}
    for name, report in reports.items():
        if report is None:
            found.append(Difference(name, "was not reached, so nothing of it was verified"))
        elif report.state != DONE:
            found.append(Difference(name, f"was not verified to the end: {report.error}"))
        else:
            whole[name] = report
    states = {name: (report.digest, report.chain) for name, report in whole.items()}
    outvoted = _outvoted(whole, states, len(reports), found)
    texts = Counter(text for report in whole.values() for text in set(report.differences))
    alike = len(set(states.values())) == 1 and len(whole) > 1
    for name, report in whole.items():
        for text in report.differences:
            if not (alike and texts[text] == len(whole)):
                found.append(Difference(name, text))
    if alike:
        for text, count in sorted(texts.items()):
            if count == len(whole):
                found.append(Difference(EVERY_NODE, f"{text} ({_ALIKE})"))
    return Conclusion(found, outvoted)


_ALIKE: Final = (
    "alike on all of them, so it is a mistake of the program and not of a disk: nothing was "
    "changed, report it with these lines"
)


def _outvoted(
    whole: Mapping[str, Report],
    states: Mapping[str, tuple[str, str]],
    nodes: int,
    found: list[Difference],
) -> list[str]:
    """Who holds another state than most; or nobody, when most do not agree."""
    counts = Counter(states.values()).most_common()
    if len(counts) < 2:
        return []
    right, count = counts[0]
    index = next(iter(whole.values())).index
    if 2 * count <= nodes:
        sides = " against ".join(
            "+".join(name for name in states if states[name] == state) for state, _ in counts
        )
        found.append(
            Difference(EVERY_NODE, f"no majority holds one state at entry {index}: {sides}")
        )
        return []
    model = next(report for name, report in whole.items() if states[name] == right)
    outvoted = [name for name, state in states.items() if state != right]
    for name in outvoted:
        where = _where(whole[name].account_digests, model.account_digests)
        found.append(Difference(name, f"its rows differ from the others' at entry {index}{where}"))
    return outvoted


def _where(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    differing = sorted(
        (name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)),
        key=int,
    )
    if not differing:
        return ""
    more = f" and {len(differing) - NAMED_MAX} more" if len(differing) > NAMED_MAX else ""
    return f", in account {', '.join(differing[:NAMED_MAX])}{more}"
