"""What OAuth answers: JSON for programs, pages and redirects for people. Values, no HTTP."""

from dataclasses import dataclass
from typing import Any, Final

RETRY_AFTER_S: Final = 5


@dataclass(frozen=True, slots=True)
class Json:
    """For a program. `retry`: it may come again soon."""

    status: int
    body: dict[str, Any] | None
    retry: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """For a person. `leads_to`: the redirect URI that its form may end at, empty for none."""

    status: int
    html: str
    leads_to: str = ""
    retry: bool = False


@dataclass(frozen=True, slots=True)
class Redirect:
    """The person's browser is led back to the client."""

    uri: str


Answer = Json | Page | Redirect


def refused(error: str, description: str, *, status: int = 400, retry: bool = False) -> Json:
    """RFC 6749 5.2."""
    return Json(status, {"error": error, "error_description": description}, retry)


def unavailable() -> Json:
    """The cluster cannot answer now."""
    text = "the cluster has no leader in reach; try again"
    return refused("temporarily_unavailable", text, status=503, retry=True)
