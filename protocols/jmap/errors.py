"""JMAP's three kinds of error as values: of a request, of a method call, of one object of a /set.

RequestError becomes an HTTP problem document (RFC 8620 3.6.1), MethodError takes the place of a
method's response (3.6.2), SetError stands beside an id in notCreated, notUpdated and notDestroyed
(5.3). Nothing else of ours is shown to a client.
"""

from collections.abc import Sequence
from typing import Any, Final

PROBLEM: Final = "urn:ietf:params:jmap:error:"

NOT_JSON: Final = PROBLEM + "notJSON"
NOT_REQUEST: Final = PROBLEM + "notRequest"
LIMIT: Final = PROBLEM + "limit"
OVER_QUOTA: Final = PROBLEM + "overQuota"
UNKNOWN_CAPABILITY: Final = PROBLEM + "unknownCapability"


class RequestError(Exception):
    """The whole request is refused: an HTTP status and a problem document (RFC 7807)."""

    def __init__(self, type_: str, status: int, detail: str, *, limit: str | None = None) -> None:
        super().__init__(detail)
        self.type = type_
        self.status = status
        self.detail = detail
        self.limit = limit

    def document(self) -> dict[str, Any]:
        """The members of the problem document."""
        problem: dict[str, Any] = {"type": self.type, "status": self.status, "detail": self.detail}
        if self.limit is not None:
            problem["limit"] = self.limit
        return problem


def not_json(detail: str) -> RequestError:
    """The body is no I-JSON (RFC 7493)."""
    return RequestError(NOT_JSON, 400, detail)


def not_request(detail: str) -> RequestError:
    """The body is JSON, but no Request object (RFC 8620 3.3)."""
    return RequestError(NOT_REQUEST, 400, detail)


def over_limit(limit: str, detail: str, *, status: int = 400) -> RequestError:
    """The request goes over `limit`, a property of the core capability."""
    return RequestError(LIMIT, status, detail, limit=limit)


class MethodError(Exception):
    """One method call is refused; RFC 8620 3.6.2 and the methods' own lists name the types."""

    def __init__(self, type_: str, description: str | None = None, **more: object) -> None:
        super().__init__(description or type_)
        self.type = type_
        self.description = description
        self.more = more

    def arguments(self) -> dict[str, Any]:
        """The arguments of the "error" response."""
        told: dict[str, Any] = {"type": self.type, **self.more}
        if self.description is not None:
            told["description"] = self.description
        return told


def invalid_arguments(description: str) -> MethodError:
    """An argument is missing, unknown, or of the wrong type or value."""
    return MethodError("invalidArguments", description)


class SetError(Exception):
    """One object of a /set (or /import, /copy) is refused; its neighbours are not touched."""

    def __init__(
        self,
        type_: str,
        description: str | None = None,
        *,
        properties: Sequence[str] = (),
        **more: object,
    ) -> None:
        super().__init__(description or type_)
        self.type = type_
        self.description = description
        self.properties = tuple(properties)
        self.more = more

    def document(self) -> dict[str, Any]:
        """The SetError object of RFC 8620 5.3."""
        told: dict[str, Any] = {"type": self.type, **self.more}
        if self.description is not None:
            told["description"] = self.description
        if self.properties:
            told["properties"] = list(self.properties)
        return told


def invalid_properties(description: str, *properties: str) -> SetError:
    """These properties are missing, unknown, or of the wrong type or value."""
    return SetError("invalidProperties", description, properties=properties)
