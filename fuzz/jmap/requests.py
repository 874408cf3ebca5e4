"""Whole requests: calls of any methods in any order, joined by creation ids and references."""

from typing import Any, Final

from hypothesis import strategies as st

from fuzz.jmap.schema import Declared, schema
from fuzz.jmap.values import WRONG, Shape, rarely
from protocols.jmap.capabilities import CAPABILITIES

CALLS_MAX: Final = 6

_PATHS: Final = (
    *("/ids", "/list/*/id", "/list/*/threadId", "/list/*/emailIds", "/list/0/id", "/created"),
    *("/created/k/id", "/created/k", "/added/*/id", "/state", "/newState", "/queryState", "/total"),
    *("", "/", "/*", "/list", "/list/*/bodyStructure/subParts/*/blobId", "/list/*/keywords"),
    *("/list/-", "/list/00", "/list/99999999999", "/~0~1", "/ids/*/x", "ids", "/*" * 40),
)
_NAMES: Final = ("create", "update", "filter", "sort", "ids", "accountId", "properties")


def _reference(earlier: list[str]) -> Shape:
    """RFC 8620 3.7: mostly to a call that was."""
    at = st.integers(0, len(earlier))
    return st.builds(
        lambda number, path: {
            "resultOf": f"c{number}",
            "name": (earlier[number] if number < len(earlier) else "Email/get"),
            "path": path,
        },
        at,
        st.sampled_from(_PATHS),
    )


def _arguments(draw: st.DrawFn, declared: Declared, earlier: list[str]) -> dict[str, Any]:
    told = {name: draw(shape) for name, shape in declared.required.items()}
    names = sorted(declared.optional)
    if names:
        for name in draw(st.lists(st.sampled_from(names), max_size=5, unique=True)):
            told[name] = draw(declared.optional[name])
    if earlier and told and draw(st.integers(0, 5)) == 5:
        name = draw(st.sampled_from([*sorted(told), *names]))
        told.pop(name, None)
        told[f"#{name}"] = draw(_reference(earlier))
    if rarely(draw):
        lacks_one: bool = draw(st.booleans())
        if told and lacks_one:
            del told[draw(st.sampled_from(sorted(told)))]
        else:
            told[draw(st.sampled_from(_NAMES))] = draw(WRONG)
    return told


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """A Request object (RFC 8620 3.3)."""
    methods = schema()
    names = draw(st.lists(st.sampled_from(sorted(methods)), min_size=1, max_size=CALLS_MAX))
    calls = [
        [name, _arguments(draw, methods[name], names[:number]), f"c{number}"]
        for number, name in enumerate(names)
    ]
    told: dict[str, Any] = {"using": sorted(CAPABILITIES), "methodCalls": calls}
    if rarely(draw):
        told["using"] = draw(st.lists(st.sampled_from(sorted(CAPABILITIES)), max_size=4))
    if rarely(draw):
        told["createdIds"] = {"k": draw(st.sampled_from(("m2", "e1", "x", "#k"))), "none": "e2"}
    return told
