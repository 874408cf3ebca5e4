"""RFC 8620 4: Core/echo."""

from collections.abc import Mapping
from typing import Any

from protocols.jmap.context import Context
from protocols.jmap.standard import Answer


async def echo(_: Context, arguments: Mapping[str, Any]) -> Answer:
    """The arguments, as they came."""
    return dict(arguments)
