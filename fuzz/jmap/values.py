"""JMAP's types as strategies: mostly a value that fits, now and then one that nearly does, is of
another type, huge, or hostile.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hypothesis import strategies as st

from protocols.jmap.values import INT_MAX

Shape = st.SearchStrategy[Any]

# Of so many values one is not what it should be.
SPOILED_ONE_IN: Final = 40

HOSTILE_TEXTS: Final = (
    *("", " ", "\0", "a\r\nBcc: x@example.org", "\u202e\u0000\ufeff", "\U0001f34b" * 40, "ß" * 300),
    *("../../etc/passwd", "#", "#k", "##k", "$ref", "~", "~2", "/", "//", "*", "%00", "__proto__"),
    *(
        "１２",
        "m01",
        "m-1",
        "e0",
        "e1 ",
        "e1\n",
        "e18446744073709551616",
        "b" + "0" * 64,
        "x" * 255,
    ),
    *(
        "x" * 256,
        "m" + "9" * 254,
        "İ",
        "ﬃ",
        "e\u0301",
        "\ud7ff\ue000",
        "a@b@c",
        "<a>",
        "=?utf-8?b?/w==?=",
    ),
    *("0000-00-00T00:00:00Z", "9999-12-31T23:59:60Z", "2026-02-30T00:00:00Z", "1e400", "NaN"),
)
HUGE: Final[tuple[Any, ...]] = (
    "x" * 100_000,
    "\u20ac " * 50_000,
    "a/" * 20_000,
    [f"e{n}" for n in range(301)],
    ["e1"] * 3000,
    {f"k{n}": {} for n in range(201)},
    {f"e{n}": {"keywords/x": True} for n in range(200)},
    list(range(5000)),
    INT_MAX,
    -INT_MAX,
    1.7e308,
)


def _deep(inner: Any, levels: int) -> Any:
    for level in range(levels):
        inner = [inner] if level % 3 else {"operator": "NOT", "conditions": [inner]}
    return inner


TEXT: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS: Final = (
    st.none() | st.booleans() | st.integers(-INT_MAX, INT_MAX) | st.floats(-1e9, 1e9) | TEXT
)
ANY: Final[Shape] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
WRONG: Final[Shape] = st.one_of(
    ANY,
    st.sampled_from(HOSTILE_TEXTS),
    st.sampled_from(HOSTILE_TEXTS).map(lambda text: [text]),
    st.sampled_from(HOSTILE_TEXTS).map(lambda text: {text: True}),
    st.sampled_from((None, True, False, 0, -1, 0.5, [], {}, [None], [[]], [{}], {"": None})),
    st.sampled_from(HUGE),
    st.sampled_from((8, 40, 55)).map(lambda levels: _deep({}, levels)),
)


def rarely(draw: st.DrawFn) -> bool:
    """One time in SPOILED_ONE_IN. Not at an end of the range: those are drawn more often."""
    return draw(st.integers(0, SPOILED_ONE_IN - 1)) == SPOILED_ONE_IN // 2


def mostly(fitting: Shape) -> Shape:
    """A value that fits, or, one time in SPOILED_ONE_IN, anything at all."""

    @st.composite
    def draw_one(draw: st.DrawFn) -> Any:
        return draw(WRONG if rarely(draw) else fitting)

    return draw_one()


def one(*values: Any) -> Shape:
    """One of these."""
    return mostly(st.sampled_from(values))


def or_null(shape: Shape) -> Shape:
    """What fits, or null."""
    return shape | st.none()


def array(shape: Shape, most: int = 4) -> Shape:
    """A list."""
    return mostly(st.lists(shape, max_size=most))


def mapping(keys: Shape, values: Shape, most: int = 3) -> Shape:
    """An object whose members' names are values too."""
    return mostly(st.dictionaries(keys.filter(_is_text), values, max_size=most))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


BOOLEAN: Final = mostly(st.booleans())
UNSIGNED: Final = mostly(st.integers(0, 12) | st.sampled_from((0, 1, 300, 10_000, INT_MAX)))
INTEGER: Final = mostly(st.integers(-12, 12) | st.sampled_from((-INT_MAX, INT_MAX)))
STRING: Final = mostly(TEXT | st.sampled_from(HOSTILE_TEXTS))
DATE: Final = one(
    *("2026-11-01T09:00:00Z", "2026-11-01T09:00:00.123456789Z", "1970-01-01T00:00:00Z"),
    *("2026-11-30T23:59:60Z", "9999-12-31T23:59:59Z", "1969-12-31T23:59:59Z", "2026-11-01T9:00Z"),
    *("2026-11-01T09:00:00+01:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"),
)
CREATION: Final = st.sampled_from(("k", "l", "u", "i", "s"))


def record(
    required: Mapping[str, Shape],
    optional: Mapping[str, Shape] | None = None,
    *,
    most: int = 4,
    strange: Sequence[str] = ("surprise", "", "id", "header:", "a/b"),
) -> Shape:
    """An object with these members; now and then one is missing, or one is there too many."""
    names = sorted(optional or ())

    @st.composite
    def draw_one(draw: st.DrawFn) -> Any:
        told: dict[str, Any] = {name: draw(shape) for name, shape in required.items()}
        if names:
            for name in draw(st.lists(st.sampled_from(names), max_size=most, unique=True)):
                told[name] = draw((optional or {})[name])
        if rarely(draw):
            lacks_one: bool = draw(st.booleans())
            if told and lacks_one:
                del told[draw(st.sampled_from(sorted(told)))]
            else:
                told[draw(st.sampled_from(strange))] = draw(WRONG)
        return told

    return mostly(draw_one())


def patch(members: Mapping[str, Shape], pointers: Mapping[str, Shape] | None = None) -> Shape:
    """RFC 8620 5.3 PatchObject: properties as a whole, and what is inside them by pointer."""
    everything = {**members, **(pointers or {})}
    return record({}, everything, most=3, strange=(*everything, "~1", "a~", "keywords/a/b", "/id"))


def conditions(members: Mapping[str, Shape]) -> Shape:
    """RFC 8620 5.5: a tree of operators above conditions."""
    leaf = record({}, members, most=3)
    operator = st.sampled_from(("AND", "OR", "NOT")) | WRONG

    def above(inner: Shape) -> Shape:
        return record({"operator": operator, "conditions": st.lists(inner, max_size=3)})

    return mostly(st.recursive(leaf, above, max_leaves=6))


def comparators(names: Sequence[str], more: Mapping[str, Shape] | None = None) -> Shape:
    """RFC 8620 5.5: a sort."""
    collation = one("i;ascii-casemap", "i;ascii-numeric", "i;unicode-casemap", "i;octet", "i;none")
    told = {"isAscending": BOOLEAN, "collation": collation, **(more or {})}
    return array(record({"property": one(*names)}, told, most=3), most=3)
