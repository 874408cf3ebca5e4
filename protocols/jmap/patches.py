"""RFC 8620 5.3 PatchObject: pointers sorted out before anything is changed."""

from collections.abc import Mapping
from typing import Any

from protocols.jmap.errors import SetError, invalid_properties
from protocols.jmap.values import boolean_set, unescape_pointer


def split_patch(patch: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Property -> what is patched in it, by member; `""` stands for the property as a whole.

    Raises SetError invalidPatch for pointers deeper than one member, and when one pointer is the
    beginning of another.
    """
    split: dict[str, dict[str, Any]] = {}
    for pointer, value in patch.items():
        head, slash, rest = pointer.partition("/")
        if "/" in rest or (slash and not rest):
            raise SetError("invalidPatch", f"nothing can be patched at {pointer[:200]!r}")
        member = unescape_pointer(rest)
        split.setdefault(unescape_pointer(head), {})[member] = value
    for name, members in split.items():
        if "" in members and len(members) > 1:
            raise SetError("invalidPatch", f"{name[:200]!r} is patched as a whole and in parts")
    return split


def patched_set(
    name: str, members: Mapping[str, Any]
) -> tuple[frozenset[str] | None, list[str], list[str]]:
    """How a `String[Boolean]` changes: replaced by (or None), members added, members removed."""
    if "" in members:
        whole = members[""]
        # RFC 8620 5.3: null sets a property to its default, which is the empty set.
        return frozenset() if whole is None else boolean_set(whole, name), [], []
    add = [member for member, value in members.items() if value is True]
    remove = [member for member, value in members.items() if value is None]
    if len(add) + len(remove) != len(members):
        raise invalid_properties(f"a member of {name} is neither true nor null", name)
    return None, add, remove
