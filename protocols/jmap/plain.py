"""What types share whose objects are few plain values: Identity, VacationResponse, Quota, ...

A type says how an object looks (`describe`: all its properties) and which properties a client may
set, each with the check of its value. Patches of such objects replace whole properties.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from protocols.jmap.errors import SetError, invalid_properties
from protocols.jmap.patches import split_patch

Described = Mapping[str, Any]
Check = Callable[[Any], bool]


def renderer(
    describe: Callable[[Any], Described | None], properties: Sequence[str]
) -> Callable[[Any], bytes | None]:
    """How /get renders an object: the properties asked for, of what `describe` tells."""

    def render(number: Any) -> bytes | None:
        told = describe(number)
        if told is None:
            return None
        return msgspec.json.encode({name: told[name] for name in properties})

    return render


def read_new(values: Mapping[str, Any], checks: Mapping[str, Check]) -> dict[str, Any]:
    """The properties of a create, all of them the client's to set; raises SetError."""
    foreign = [name for name in values if name not in checks]
    if foreign:
        raise invalid_properties("a property is unknown or the server's to set", *foreign)
    return _checked(values, checks)


def read_patch(
    patch: Mapping[str, Any],
    checks: Mapping[str, Check],
    held: Described,
    defaults: Mapping[str, Any],
) -> dict[str, Any]:
    """What an update changes; raises SetError.

    RFC 8620 5.3: null sets a property to its default, and what may not be changed may be sent
    as it is.
    """
    split = split_patch(patch)
    deep = [name for name, members in split.items() if "" not in members]
    if deep:
        raise SetError("invalidPatch", f"{deep[0][:200]!r} is only patched as a whole")
    whole = {name: members[""] for name, members in split.items()}
    wrong = [
        name
        for name, value in whole.items()
        if name not in checks and (name not in held or held[name] != value)
    ]
    if wrong:
        raise invalid_properties("a property is unknown or not to be changed", *wrong)
    changed = {
        name: defaults.get(name) if value is None else value
        for name, value in whole.items()
        if name in checks
    }
    return _checked(changed, checks)


def _checked(values: Mapping[str, Any], checks: Mapping[str, Check]) -> dict[str, Any]:
    wrong = [name for name, value in values.items() if not checks[name](value)]
    if wrong:
        raise invalid_properties("a property has a wrong type or value", *wrong)
    return dict(values)


def is_text(value: Any) -> bool:
    """A String."""
    return isinstance(value, str)


def is_text_or_null(value: Any) -> bool:
    """A String, or null."""
    return value is None or isinstance(value, str)


def is_people(value: Any) -> bool:
    """RFC 8621 4.1.2.3 `EmailAddress[]`, or null."""
    return value is None or (isinstance(value, list) and all(_is_person(item) for item in value))


def _is_person(value: Any) -> bool:
    match value:
        case {"email": str(), **rest} if not rest.keys() - {"name"}:
            return is_text_or_null(rest.get("name"))
        case _:
            return False
