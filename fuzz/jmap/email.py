"""The shapes of RFC 8621 4: Email objects, their body parts, headers, filters and sorts."""

from collections.abc import Callable, Mapping
from typing import Final

from hypothesis import strategies as st

from fuzz.jmap.values import (
    BOOLEAN,
    CREATION,
    DATE,
    HOSTILE_TEXTS,
    STRING,
    UNSIGNED,
    WRONG,
    Shape,
    array,
    comparators,
    mapping,
    mostly,
    one,
    or_null,
    patch,
    record,
)
from fuzz.jmap.world import Known
from protocols.jmap.methods.email_get import EMAIL_DEFAULTS

IdsOf = Callable[[Known, str], Shape]

_FIELDS: Final = ("Subject", "From", "To", "Date", "Message-ID", "References", "X", "List-Post")
_FORMS: Final = ("", ":asRaw", ":asText", ":asAddresses", ":asGroupedAddresses", ":asMessageIds")
_MORE_FORMS: Final = (":asDate", ":asURLs", ":asNonesuch", ":all", ":asText:all", ":all:asText")

HEADERS: Final = tuple(
    f"header:{field}{form}" for field in _FIELDS for form in (*_FORMS, *_MORE_FORMS)
)
PROPERTIES: Final = (*EMAIL_DEFAULTS, "headers", "bodyStructure", *HEADERS[::5])
_OF_PARTS: Final = (
    *("partId", "blobId", "size", "headers", "name", "type", "charset", "disposition", "cid"),
    *("language", "location", "subParts", "header:X", "header:Content-Type:asText"),
)
BODY_ARGUMENTS: Final[Mapping[str, Shape]] = {
    "properties": or_null(array(one(*PROPERTIES) | one(*HEADERS))),
    "bodyProperties": or_null(array(one(*_OF_PARTS))),
    "fetchTextBodyValues": BOOLEAN,
    "fetchHTMLBodyValues": BOOLEAN,
    "fetchAllBodyValues": BOOLEAN,
    "maxBodyValueBytes": UNSIGNED,
}
SORT: Final = comparators(
    (
        *("receivedAt", "sentAt", "size", "from", "to", "subject", "nonesuch"),
        *("hasKeyword", "allInThreadHaveKeyword", "someInThreadHaveKeyword"),
    ),
    {"keyword": one("$seen", "$Flagged", "a", "\\deleted")},
)

PERSON: Final = record(
    {"email": one("ann@example.net", "alice@example.org", "no address") | STRING},
    {"name": or_null(STRING)},
    most=1,
)
PEOPLE: Final = array(PERSON)
_KEYWORD: Final = one(
    *(
        "$seen",
        "$FLAGGED",
        "a",
        "b",
        "\\seen",
        "\\deleted",
        "$deleted",
        "a b",
        "x" * 255,
        "é",
        "a/b",
    )
)
_KEYWORDS: Final = mapping(_KEYWORD, st.just(True) | BOOLEAN)
_MESSAGE_IDS: Final = array(one("1@example.net", "<a>", "a b", "", "é@x"))


def blob_ids(held: Known) -> Shape:
    """Blobs and sections of them, real and made up."""
    first = held.blobs[0]
    strange = (
        *(f"{first}-0-0-0", f"{first}-0-5-1", f"{first}-5-99999999-0", f"{first}-5-9-9"),
        *(f"{first}-0-5", f"{first}-0-5-2-0-3-0", f"{first}-18446744073709551615-9-0", "b1"),
    )
    encoded = [blob for blob in held.blobs if blob.endswith("-1")]
    within = [f"{blob}-{tail}" for blob in encoded for tail in ("0-9-0", "0-9-1", "3-9-2-0-1-0")]
    return mostly(
        st.sampled_from(held.blobs)
        | st.sampled_from(held.blobs)
        | st.sampled_from((*within, *strange, *HOSTILE_TEXTS, "#u", "#k"))
    )


def places(held: Known, ids_of: IdsOf) -> dict[str, Shape]:
    """Where an email is and what it is marked with."""
    return {
        "mailboxIds": mapping(ids_of(held, "Mailbox"), st.just(True) | BOOLEAN),
        "keywords": or_null(_KEYWORDS),
    }


_FITTING: Final[Mapping[str, Shape]] = {
    "header:X-Some:asText": or_null(STRING),
    "header:X-Some:asRaw:all": array(STRING),
    "header:To:asAddresses:all": array(PEOPLE),
    "header:Cc:asGroupedAddresses": array(record({"name": or_null(STRING), "addresses": PEOPLE})),
    "header:References:asMessageIds": or_null(_MESSAGE_IDS),
    "header:Resent-Date:asDate": or_null(DATE),
    "header:List-Post:asURLs": or_null(array(one("https://x.example/", "a>b", "mailto:x"))),
    "header:Content-Type": STRING,
    "header:Subject:asDate": DATE,
    "header:é": STRING,
    "header:X" + "y" * 300: STRING,
}


def _part(held: Known) -> Shape:
    """An EmailBodyPart, with parts below it."""
    described: dict[str, Shape] = {
        "type": one("text/plain", "text/html", "image/png", "multipart/mixed", "message/rfc822"),
        "name": or_null(STRING),
        "charset": or_null(one("utf-8", "nonesuch", 'a"b')),
        "disposition": or_null(one("inline", "attachment", "a;b")),
        "cid": or_null(STRING),
        "language": or_null(array(one("en", "de,fr", "a\r\nX: y"))),
        "location": or_null(STRING),
        "size": UNSIGNED,
        **_FITTING,
    }
    text = record({"partId": one("1", "2", "none")}, described)
    blob = record({"blobId": blob_ids(held)}, described)
    kinds = one("multipart/mixed", "multipart/alternative", "Multipart/RELATED", "text/plain")

    def above(inner: Shape) -> Shape:
        return record({"type": kinds, "subParts": st.lists(inner, max_size=3)}, described, most=1)

    return mostly(st.recursive(text | blob, above, max_leaves=4))


def made(held: Known, ids_of: IdsOf) -> Shape:
    """An Email to be created."""
    value = record({"value": STRING}, {"isTruncated": BOOLEAN, "isEncodingProblem": BOOLEAN})
    values = mostly(st.fixed_dictionaries({"1": value, "2": value}))
    part = _part(held)
    text, html = (
        array(record({"partId": one(number), "type": one(f"text/{kind}")}), most=1)
        for number, kind in (("1", "plain"), ("2", "html"))
    )
    headers: dict[str, Shape] = {
        **dict.fromkeys(("from", "to", "cc", "bcc", "sender", "replyTo"), or_null(PEOPLE)),
        **dict.fromkeys(("messageId", "inReplyTo", "references"), or_null(_MESSAGE_IDS)),
        "subject": or_null(STRING),
        "sentAt": or_null(DATE),
        "receivedAt": or_null(DATE),
        "keywords": or_null(_KEYWORDS),
        **_FITTING,
    }
    required = {"mailboxIds": places(held, ids_of)["mailboxIds"]}
    as_tree = record({**required, "bodyStructure": part, "bodyValues": values}, headers)
    as_lists = record(
        {**required, "bodyValues": values, "textBody": text},
        {**headers, "htmlBody": html, "attachments": array(part), "bodyStructure": WRONG},
    )
    return as_tree | as_lists


def changed(held: Known, ids_of: IdsOf) -> Shape:
    """A patch of an Email."""
    pointers = {
        **{f"keywords/{name}": or_null(st.just(True)) for name in ("$seen", "b", "a~1b", "~0")},
        **{f"mailboxIds/{name}": or_null(st.just(True)) for name in ("m1", "m4", "m99", "#k")},
        "subject": STRING,
        "bodyStructure": WRONG,
        "headers/0/name": STRING,
        "header:X": STRING,
    }
    return patch(places(held, ids_of), pointers)


def filters(held: Known, ids_of: IdsOf) -> dict[str, Shape]:
    """RFC 8621 4.4.1."""
    box = ids_of(held, "Mailbox")
    words = one("hello", "Ann", "grüße", 'a "quoted phrase', "*", "", "x " * 80) | STRING
    threads = ("allInThreadHaveKeyword", "someInThreadHaveKeyword", "noneInThreadHaveKeyword")
    header = st.lists(one("Subject", "x", "Nonesuch", "é") | STRING, min_size=1, max_size=3)
    return {
        "inMailbox": box,
        "inMailboxOtherThan": array(box),
        **dict.fromkeys(("before", "after"), DATE),
        **dict.fromkeys(("minSize", "maxSize"), UNSIGNED),
        **dict.fromkeys((*threads, "hasKeyword", "notKeyword"), _KEYWORD),
        "hasAttachment": BOOLEAN,
        **dict.fromkeys(("text", "from", "to", "cc", "bcc", "subject", "body"), words),
        "header": mostly(header),
    }


def arrivals(
    held: Known, ids_of: IdsOf, account: Shape
) -> dict[str, tuple[Mapping[str, Shape], Mapping[str, Shape]]]:
    """RFC 8621 4.7-4.9, as required and optional arguments."""
    from_, state = {"accountId": account}, or_null(one(held.states[0], *held.states))
    put = places(held, ids_of)
    box = {"mailboxIds": put["mailboxIds"]}
    others = {"keywords": put["keywords"], "receivedAt": or_null(DATE)}
    arriving = record({"blobId": blob_ids(held), **box}, others)
    copied = record({"id": ids_of(held, "Email")}, {**box, **others})
    return {
        "Email/import": (
            {**from_, "emails": mapping(CREATION, arriving)},
            {"ifInState": state},
        ),
        "Email/copy": (
            {**from_, "fromAccountId": account, "create": mapping(CREATION, copied)},
            {
                "ifInState": state,
                "ifFromInState": state,
                "onSuccessDestroyOriginal": BOOLEAN,
                "destroyFromIfInState": state,
            },
        ),
        "Email/parse": ({**from_, "blobIds": array(blob_ids(held))}, BODY_ARGUMENTS),
    }
