"""Everything ingest wants to know of a message, from one parse.

`summarise` never fails and never decodes more of a body than its preview needs. Of repeated fields
the last counts, as RFC 8621 4.1.3 says for the properties named here.
"""

import re
from datetime import datetime
from typing import Final

import msgspec

from protocols.mime import headers, structure
from protocols.mime.addresses import EmailAddress
from protocols.mime.body_lists import BodyLists, body_lists, has_attachment
from protocols.mime.headers import Header
from protocols.mime.parts import Part, pack
from protocols.mime.preview import preview

# Characters of a subject the base subject is made from; threads need no more to tell them apart.
BASE_SUBJECT_CHARS_MAX: Final = 1024

# RFC 5256 5: subj-blob, subj-refwd, subj-leader.
_BLOB: Final = re.compile(r"\[[^\[\]]*+\][ \t]*+")
_REPLY: Final = re.compile(
    r"[ \t]++|(?:\[[^\[\]]*+\][ \t]*+)*+(?:re|fwd?)[ \t]*+(?:\[[^\[\]]*+\][ \t]*+)?:", re.IGNORECASE
)
_TRAILER: Final = "(fwd)"
_FORWARDED: Final = "[fwd:"


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What lists, threads and filters need of a message, RFC 8621 4.1.2 and 4.1.3 forms throughout.

    Address lists and ids are None where the field is absent. `headers` are the fields of the
    message itself; `structure_bytes` is `parts.pack(root)`.
    """

    message_id: tuple[str, ...] | None
    in_reply_to: tuple[str, ...] | None
    references: tuple[str, ...] | None
    subject: str | None
    base_subject: str
    from_: tuple[EmailAddress, ...] | None
    to: tuple[EmailAddress, ...] | None
    cc: tuple[EmailAddress, ...] | None
    bcc: tuple[EmailAddress, ...] | None
    reply_to: tuple[EmailAddress, ...] | None
    sender: tuple[EmailAddress, ...] | None
    sent_at: datetime | None
    has_attachment: bool
    preview: str
    size: int
    root: Part
    lists: BodyLists
    headers: tuple[Header, ...]
    structure_bytes: bytes


def summarise(data: bytes) -> Summary:
    """Parse a message once and say everything ingest wants of it."""
    root, fields = structure.read(data)
    last = {field.name.lower(): field.raw for field in fields}
    fallback = root.params.get("charset")
    lists = body_lists(root)
    subject = headers.as_text(last["subject"], fallback) if "subject" in last else None

    def ids(name: str) -> tuple[str, ...] | None:
        found = headers.as_message_ids(last[name]) if name in last else None
        return None if found is None else tuple(found)

    def people(name: str) -> tuple[EmailAddress, ...] | None:
        return tuple(headers.as_addresses(last[name], fallback)) if name in last else None

    return Summary(
        message_id=ids("message-id"),
        in_reply_to=ids("in-reply-to"),
        references=ids("references"),
        subject=subject,
        base_subject=base_subject(subject or ""),
        from_=people("from"),
        to=people("to"),
        cc=people("cc"),
        bcc=people("bcc"),
        reply_to=people("reply-to"),
        sender=people("sender"),
        sent_at=headers.as_moment(last["date"]) if "date" in last else None,
        has_attachment=has_attachment(root, lists),
        preview=preview(data, root, lists),
        size=len(data),
        root=root,
        lists=lists,
        headers=tuple(fields),
        structure_bytes=pack(root),
    )


def base_subject(subject: str) -> str:
    """RFC 5256 2.1: the subject without the marks of replies, forwards and lists.

    The case is kept; who compares base subjects folds it (and for threads drops white space, RFC
    8621 3).
    """
    text = " ".join(subject[:BASE_SUBJECT_CHARS_MAX].split())  # step 1; words are decoded already
    while True:
        text = _without_leaders(_without_trailers(text))  # steps 2 to 5
        if text[: len(_FORWARDED)].lower() != _FORWARDED or not text.endswith("]"):
            return text
        text = text[len(_FORWARDED) : -1].strip()  # step 6


def is_reply_or_forward(subject: str) -> bool:
    """RFC 5256 3: its base lacks marks of a reply or forward, and not those of a list alone."""
    text = " ".join(subject[:BASE_SUBJECT_CHARS_MAX].split())
    if text[-len(_TRAILER) :].lower() == _TRAILER:
        return True
    position = 0
    while not _REPLY.match(text, position):
        if text[position : position + len(_FORWARDED)].lower() == _FORWARDED:
            return text.endswith("]")
        blob = _BLOB.match(text, position)
        if blob is None:
            return False
        position = blob.end()
    return True


def _without_trailers(text: str) -> str:
    text = text.rstrip()
    while text[-len(_TRAILER) :].lower() == _TRAILER:
        text = text[: -len(_TRAILER)].rstrip()
    return text


def _without_leaders(text: str) -> str:
    position = 0
    while True:
        if reply := _REPLY.match(text, position):
            position = reply.end()
        elif (blob := _BLOB.match(text, position)) and blob.end() < len(text):
            position = blob.end()
        else:
            return text[position:]
