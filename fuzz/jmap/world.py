"""The house that requests are thrown at: one account with some of everything, made anew for each.

All ids in it are the same every time, so that requests can be drawn before there is a house.
"""

import base64
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import trio

from protocols.jmap.capabilities import Limits
from storage.ids import blob_id, render_blob
from tests.protocols.jmap.desk import ALICE, BOB, Desk, message
from tests.protocols.webpush.client import PushClient

# Small enough that a request may go over them.
LIMITS: Final = Limits(
    upload_bytes_max=400_000,
    submission_bytes_max=300_000,
    get_objects_max=300,
    set_objects_max=200,
    calls_max=16,
    blob_sources_max=64,
    recipients_max=20,
)

_HEAD: Final = (
    b"From: Ann <ann@example.net>\r\nTo: alice@example.org\r\n"
    b"Date: Sun, 1 Nov 2026 10:00:00 +0100\r\n"
)
_ENCLOSED: Final = base64.encodebytes(message("Enclosed", number=50)).replace(b"\n", b"\r\n")
MIXED: Final = (
    _HEAD + b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <mixed@example.net>\r\n"
    b"References: <one@example.net> <1@example.net>\r\nX: a\r\nX: b\r\nMIME-Version: 1.0\r\n"
    b"Disposition-Notification-To: Ann <ann@example.net>\r\n"
    b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n'
    b'--x\r\nContent-Type: multipart/alternative; boundary="y"\r\n\r\n'
    b"--y\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe =F0=9F=8D=8B=\r\n.\r\n"
    b"--y\r\nContent-Type: text/html; charset=nonesuch\r\n\r\n<p>Gr\xfc\xdfe<br>\r\n--y--\r\n"
    b"--x\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + _ENCLOSED
    + b"\r\n--x\r\nContent-Type: image/png; name*=utf-8''%E2%82%AC.png\r\nContent-ID: <p@x>\r\n"
    b"Content-Disposition: inline\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0K!!\r\n"
    b"--x\r\nContent-Type: image/gif\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\n"
    b"begin 644 a\r\n#0V%T\r\n`\r\nend\r\n--x--\r\n"
)
BROKEN: Final = (
    b"From: <<>>,;:@\xff\r\nTo: a:b:c;;\r\nDate: 99 Foo 99999 99:99\r\nSubject: \xff =?x?q?=\r\n"
    b"Message-ID: not an id\r\nContent-Type: multipart/mixed; boundary=\r\n\r\n--\r\n\0\r\n"
)
RECEIPT: Final = (
    _HEAD + b"Subject: Read\r\nMessage-ID: <receipt@example.net>\r\n"
    b"Content-Type: multipart/report; report-type=disposition-notification; boundary=r\r\n\r\n"
    b"--r\r\n\r\nRead.\r\n--r\r\nContent-Type: message/disposition-notification\r\n\r\n"
    b"Final-Recipient: rfc822; ann@example.net\r\nOriginal-Message-ID: <1@example.net>\r\n"
    b"Disposition: manual-action/MDN-sent-manually; displayed\r\n\r\n--r--\r\n"
)
MESSAGES: Final = (
    message(number=1),
    message("Re: Hello", number=2).replace(
        b"\r\n\r\n", b"\r\nIn-Reply-To: <1@example.net>\r\n\r\n"
    ),
    MIXED,
    BROKEN,
    RECEIPT,
    message("Large", number=6, body="A line of some length, again.\r\n" * 4000),
    message("Own", number=7).replace(b"From: Ann <ann@example.net>", b"From: alice@example.org"),
)
TEXT: Final = "A text that was uploaded: Grüße."
PUSH_KEYS: Final = PushClient(b"\x2a" * 32, b"0123456789abcdef").keys


async def furnish(desk: Desk) -> None:
    """Some of everything, with some history."""
    for number, data in enumerate(MESSAGES):
        keywords = ("$seen", "a") if number % 2 else ("$flagged",)
        desk.ingest(data, "inbox" if number < 5 else "archive", None, keywords)
    box = {"name": "Below", "parentId": "m1", "isSubscribed": True}
    later = {"mailFrom": {"email": "alice@example.org", "parameters": {"HOLDFOR": "3600"}}}
    push = {"deviceClientId": "d", "url": "https://push.example.com/x", "keys": PUSH_KEYS}
    account = {"accountId": desk.account}
    upload = {"data": [{"data:asText": TEXT}]}
    await desk.request(
        ["Mailbox/set", {**account, "create": {"k": box, "gone": {"name": "Gone"}}}],
        ["Mailbox/set", {**account, "destroy": ["#gone"]}],
        ["Blob/upload", {**account, "create": {"u": upload}}],
        ["Identity/set", {**account, "create": {"i": {"email": "alice@example.org"}}}],
        [
            "EmailSubmission/set",
            {
                **account,
                "create": {
                    "s": {
                        "identityId": "#i",
                        "emailId": "e7",
                        "envelope": {**later, "rcptTo": [{"email": "bob@example.org"}]},
                    }
                },
            },
        ],
        ["PushSubscription/set", {"create": {"p": push}}],
        ["Email/set", {**account, "update": {"e2": {"keywords/b": True}}}],
    )


async def lend(desk: Desk) -> None:
    """Alice may use Bob's account, where copies of two of her emails are."""
    desk.house.auth.lent[ALICE] = (desk.house.accounts[BOB],)
    places = {"mailboxIds": {"m1": True}}
    copies = {"a": {"id": "e1", **places}, "b": {"id": "e3", **places}}
    accounts = {"fromAccountId": desk.account, "accountId": desk.bob}
    ((_, told, _),) = await desk.request(["Email/copy", {**accounts, "create": copies}])
    assert told["notCreated"] is None, told


@lru_cache(maxsize=1)
def _furnished() -> Desk:
    async def make() -> Desk:
        desk = Desk(limits=LIMITS)
        await furnish(desk)
        await lend(desk)
        return desk

    return trio.run(make)


def open_world() -> Desk:
    """The house as it is before each request: a copy, which is made faster than a house."""
    return copy.deepcopy(_furnished())


@dataclass(frozen=True, slots=True)
class Known:
    """Every id there is in the world, by type, and states of it."""

    ids: dict[str, tuple[str, ...]]
    blobs: tuple[str, ...]
    states: tuple[str, ...]


@lru_cache(maxsize=1)
def known() -> Known:
    """What a client of this world could have learnt."""
    return trio.run(_explore, open_world())


async def _explore(desk: Desk) -> Known:
    names = ("Mailbox", "Email", "Identity", "EmailSubmission", "Quota")
    parts = ["blobId", "type", "subParts"]
    got = await desk.request(
        *([f"{name}/get", {"accountId": desk.account, "ids": None}] for name in names),
        ["PushSubscription/get", {"ids": None}],
        [
            "Email/get",
            {
                "accountId": desk.account,
                "ids": None,
                "properties": ["threadId", "blobId", "bodyStructure"],
                "bodyProperties": parts,
            },
        ],
    )
    ids = {name: _ids(answer) for name, (_, answer, _) in zip(names, got, strict=False)}
    ids["PushSubscription"] = _ids(got[-2][1])
    emails = got[-1][1]["list"]
    ids["Thread"] = tuple(dict.fromkeys(email["threadId"] for email in emails))
    ids["VacationResponse"] = ("singleton",)
    assert all(ids.values()), ids
    blobs = [email["blobId"] for email in emails]
    blobs += [found for email in emails for found in _blobs(email["bodyStructure"])]
    own = [answer["state"] for _, answer, _ in got if "state" in answer]
    last = max(map(int, own))
    states = (*dict.fromkeys(own), str(last - 1), str(last // 2), "1", f"{last // 2}-1")
    return Known(ids, (*dict.fromkeys(blobs), render_blob(blob_id(TEXT.encode()))), states)


def _ids(answer: Any) -> tuple[str, ...]:
    return tuple(one["id"] for one in answer["list"])


def _blobs(part: Any) -> Iterator[str]:
    if part["blobId"] is not None:
        yield part["blobId"]
    for child in part.get("subParts") or ():
        yield from _blobs(child)
