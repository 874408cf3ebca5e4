"""An odd message and what is expected of it; the vocabulary of the odd_*.py files.

Not every expectation is named by every message: `Odd.expected` holds those that are, under the
names that `test_odd_messages` checks (subject, from_, to, parts, texts, preview and so on).
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Odd:
    """One message that somebody, somewhere, has sent."""

    name: str
    data: bytes
    expected: dict[str, object] = field(default_factory=dict)


def odd(name: str, data: bytes | str, **expected: object) -> Odd:
    """Text is sent as UTF-8; its line feeds become CRLF unless it already holds a CR."""
    if isinstance(data, str):
        data = data.encode("utf-8")
        if b"\r" not in data:
            data = data.replace(b"\n", b"\r\n")
    return Odd(name, data, expected)


def crlf(text: str) -> bytes:
    """UTF-8 with CRLF line ends."""
    return text.encode("utf-8").replace(b"\n", b"\r\n")


def mixed(*parts: str, boundary: str = "b", subtype: str = "mixed", end: str | None = None) -> str:
    """A multipart message of the given parts, each with its own header; `end` closes it."""
    head = f"Subject: {subtype}\nContent-Type: multipart/{subtype}; boundary={boundary}\n\n"
    body = "".join(f"--{boundary}\n{part}\n" for part in parts)
    return head + body + (f"--{boundary}--\n" if end is None else end)
