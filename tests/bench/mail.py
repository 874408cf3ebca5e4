"""The mail a benchmark sends: a seeded mix of sizes and shapes, 14 KB on average."""

import base64
import random
from functools import lru_cache
from typing import Final

# Every server gets the same ones, and making one takes longer than delivering it.
MESSAGES_KEPT: Final = 16_384
WORDS = (
    "the of and to in is that for it as was with be by on not he his but at are this have from "
    "or had an they which one you were all her she there would their we him been has when who "
    "will no more if out so up said what its about than into them can only other time new some "
    "meeting invoice report budget quarter project travel flight hotel order delivery account"
).split()


def _text(chance: random.Random, octets: int) -> str:
    lines, size = [], 0
    while size < octets:
        line = " ".join(chance.choice(WORDS) for _ in range(12))
        lines.append(line)
        size += len(line) + 2
    return "\r\n".join(lines)


@lru_cache(MESSAGES_KEPT)
def message(number: int, seed: int = 1) -> bytes:
    """The `number`th message of a seed: plain, alternative, or with an attachment."""
    chance = random.Random(f"{seed}-{number}")
    subject = " ".join(chance.choice(WORDS) for _ in range(6))
    head = (
        f"From: Sender {number % 50} <sender{number % 50}@example.net>\r\n"
        f"To: Alice Example <alice@example.org>, Team <team{number % 7}@example.org>\r\n"
        f"Subject: {subject}\r\n"
        f"Date: Mon, {1 + number % 28:02d} Jan 2024 10:{number % 60:02d}:00 +0100\r\n"
        f"Message-ID: <bench-{seed}-{number}@example.net>\r\n"
        f"X-Number: {number}\r\n"
        "MIME-Version: 1.0\r\n"
    )
    kind = number % 3
    if kind == 0:
        body = _text(chance, 3_000)
        return (f"{head}Content-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n").encode()
    boundary = f"=_{seed}_{number}"
    text, html = _text(chance, 3_000), f"<html><body><p>{_text(chance, 8_000)}</p></body></html>"
    parts = [
        f"Content-Type: text/plain; charset=utf-8\r\n\r\n{text}",
        f"Content-Type: text/html; charset=utf-8\r\n\r\n{html}",
    ]
    subtype = "alternative"
    if kind == 2:
        subtype = "mixed"
        raw = base64.b64encode(chance.randbytes(9_000)).decode()
        folded = "\r\n".join(raw[at : at + 76] for at in range(0, len(raw), 76))
        parts.append(
            'Content-Type: application/pdf; name="report.pdf"\r\n'
            "Content-Transfer-Encoding: base64\r\n"
            f'Content-Disposition: attachment; filename="report.pdf"\r\n\r\n{folded}'
        )
    inner = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
    return (
        f'{head}Content-Type: multipart/{subtype}; boundary="{boundary}"\r\n\r\n'
        f"{inner}--{boundary}--\r\n"
    ).encode()
