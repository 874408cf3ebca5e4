"""What each method takes, declared once: its arguments, and which of them it cannot do without."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from hypothesis import strategies as st

from fuzz.jmap import email
from fuzz.jmap.values import (
    BOOLEAN,
    CREATION,
    DATE,
    HOSTILE_TEXTS,
    INTEGER,
    STRING,
    UNSIGNED,
    Shape,
    array,
    comparators,
    conditions,
    mapping,
    mostly,
    one,
    or_null,
    patch,
    record,
)
from fuzz.jmap.world import PUSH_KEYS, Known, known

ACCOUNT: Final = mostly(st.integers(0, 15).map(lambda drawn: {7: "a2", 8: "a3"}.get(drawn, "a1")))


@dataclass(frozen=True, slots=True)
class Declared:
    """A method's arguments."""

    required: Mapping[str, Shape]
    optional: Mapping[str, Shape]


def ids_of(held: Known, kind: str) -> Shape:
    """Ids of a type, of others, of none, and references to what is made in the same request."""
    others = [each for ids in held.ids.values() for each in ids[:1]]
    made = [f"#{name}" for name in ("k", "l", "u", "i", "s", "none")]
    never = [held.ids[kind][0][0] + number for number in ("99", "0", "18446744073709551615")]
    return mostly(
        st.sampled_from(held.ids[kind])
        | st.sampled_from(held.ids[kind])
        | st.sampled_from([*others, *made, *never, *HOSTILE_TEXTS])
    )


def _standard(held: Known, kind: str, properties: tuple[str, ...]) -> dict[str, Declared]:
    """RFC 8620 5.1 and 5.2: /get and /changes."""
    account = {"accountId": ACCOUNT}
    state, some = one(*held.states), or_null(array(ids_of(held, kind)))
    return {
        f"{kind}/get": Declared(
            account, {"ids": some, "properties": or_null(array(one(*properties)))}
        ),
        f"{kind}/changes": Declared({**account, "sinceState": state}, {"maxChanges": UNSIGNED}),
    }


def set_of(
    held: Known, kind: str, made: Shape, changed: Shape, more: Mapping[str, Shape] | None = None
) -> Declared:
    """RFC 8620 5.3: /set."""
    ids = ids_of(held, kind)
    return Declared(
        {"accountId": ACCOUNT},
        {
            "ifInState": or_null(one(held.states[0], held.states[0], *held.states)),
            "create": or_null(mapping(CREATION, made)),
            "update": or_null(mapping(ids, changed)),
            "destroy": or_null(array(ids)),
            **(more or {}),
        },
    )


def queries(
    held: Known,
    kind: str,
    filters: Mapping[str, Shape],
    sort: Shape,
    more: Mapping[str, Shape] | None = None,
) -> dict[str, Declared]:
    """RFC 8620 5.5 and 5.6: /query and /queryChanges."""
    ids = ids_of(held, kind)
    shared = {"filter": or_null(conditions(filters)), "sort": or_null(sort), **(more or {})}
    window = {"position": INTEGER, "anchor": ids, "anchorOffset": INTEGER, "limit": UNSIGNED}
    total = {"calculateTotal": BOOLEAN}
    account = {"accountId": ACCOUNT}
    since = {"maxChanges": UNSIGNED, "upToId": ids}
    return {
        f"{kind}/query": Declared(account, {**shared, **window, **total}),
        f"{kind}/queryChanges": Declared(
            {**account, "sinceQueryState": one(*held.states)}, {**shared, **since, **total}
        ),
    }


def _mailboxes(held: Known) -> dict[str, Declared]:
    box = ids_of(held, "Mailbox")
    role = or_null(one("inbox", "archive", "drafts", "junk", "important", "Sent", "nonesuch"))
    name = one("Inbox", "inbox", "Below", "k", "a/b", "&AOk-", "e\u0301", "") | STRING
    settable = {
        "name": name,
        "parentId": or_null(box),
        "role": role,
        "sortOrder": UNSIGNED,
        "isSubscribed": BOOLEAN,
    }
    tree = {"sortAsTree": BOOLEAN, "filterAsTree": BOOLEAN}
    filters = {
        "parentId": or_null(box),
        "name": name,
        "role": role,
        "hasAnyRole": BOOLEAN,
        "isSubscribed": BOOLEAN,
    }
    properties = (*settable, "totalEmails", "unreadThreads", "myRights", "id")
    counts = {"totalEmails": UNSIGNED, "myRights": mapping(STRING, BOOLEAN), "id": box}
    return {
        **_standard(held, "Mailbox", properties),
        **queries(held, "Mailbox", filters, comparators(("sortOrder", "name", "parentId")), tree),
        "Mailbox/set": set_of(
            held,
            "Mailbox",
            record({"name": name}, settable),
            patch({**settable, **counts}, {"myRights/mayDelete": BOOLEAN, "name/0": STRING}),
            {"onDestroyRemoveEmails": BOOLEAN},
        ),
    }


def _identities(held: Known) -> dict[str, Declared]:
    settable = {
        "name": STRING,
        "replyTo": or_null(email.PEOPLE),
        "bcc": or_null(email.PEOPLE),
        "textSignature": STRING,
        "htmlSignature": STRING,
    }
    address = one("alice@example.org", "ALICE@example.org", "bob@example.org", "alice@é.org")
    return {
        **_standard(held, "Identity", (*settable, "id", "email", "mayDelete")),
        "Identity/set": set_of(
            held,
            "Identity",
            record({"email": address}, settable),
            patch({**settable, "email": address, "mayDelete": BOOLEAN}, {"replyTo/0": STRING}),
        ),
    }


def _submissions(held: Known) -> dict[str, Declared]:
    identity, message = ids_of(held, "Identity"), ids_of(held, "Email")
    held_back = one("0", "60", "-1", "99999999999", "٣", "2026-11-30T00:00:00Z", "now", "")
    parameters = record(
        {},
        {
            "HOLDFOR": or_null(held_back),
            "holduntil": or_null(held_back),
            "SIZE": STRING,
            "BODY": one("8BITMIME", "7BIT"),
            "SMTPUTF8": st.none(),
            "RET": STRING,
        },
        most=2,
    )
    where = one("bob@example.org", "alice@example.org", "x@example.com", "", "no address")
    address = record({"email": where | STRING}, {"parameters": or_null(parameters)}, most=1)
    envelope = record({"mailFrom": address, "rcptTo": array(address)})
    status = one("pending", "final", "canceled", "sent")
    wish = {"identityId": identity, "emailId": message}
    filters = {
        "identityIds": array(identity),
        "emailIds": array(message),
        "threadIds": array(ids_of(held, "Thread")),
        "undoStatus": status,
        "before": DATE,
        "after": DATE,
    }
    names = ("id", "emailId", "threadId", "envelope", "sendAt", "undoStatus", "deliveryStatus")
    sort = comparators(("emailId", "threadId", "sentAt", "sendAt", "undoStatus"))
    sent = ids_of(held, "EmailSubmission")
    return {
        **_standard(held, "EmailSubmission", names),
        **queries(held, "EmailSubmission", filters, sort),
        "EmailSubmission/set": set_of(
            held,
            "EmailSubmission",
            record(wish, {"envelope": or_null(envelope)}, most=1),
            patch(
                {"undoStatus": status, "envelope": envelope, **wish},
                {"envelope/mailFrom": address},
            ),
            {
                "onSuccessUpdateEmail": or_null(mapping(sent, email.changed(held, ids_of))),
                "onSuccessDestroyEmail": or_null(array(sent)),
            },
        ),
    }


def _push(held: Known) -> dict[str, Declared]:
    keys = st.just(PUSH_KEYS) | record({"p256dh": STRING, "auth": STRING})
    url = one(
        *("https://push.example.com/a", "http://push.example.com/", "https://127.0.0.1/x"),
        *(
            "https://u:p@h/",
            "https://[::1]:99999/",
            "https://",
            "https://h:0/",
            "https://ü.example/",
        ),
    )
    settable = {
        "verificationCode": or_null(STRING),
        "expires": or_null(DATE),
        "types": or_null(array(one("Email", "Mailbox", "Nonesuch"))),
    }
    made = {"keys": or_null(keys), **settable}
    properties = ("id", "deviceClientId", "verificationCode", "expires", "types", "url", "keys")
    ids = ids_of(held, "PushSubscription")
    both = set_of(
        held,
        "PushSubscription",
        record({"deviceClientId": STRING, "url": url}, made),
        patch({**settable, "url": url, "keys": keys}, {"types/0": STRING, "keys/auth": STRING}),
    )
    optional = {name: both.optional[name] for name in ("create", "update", "destroy")}
    return {
        "PushSubscription/get": Declared(
            {}, {"ids": or_null(array(ids)), "properties": or_null(array(one(*properties)))}
        ),
        "PushSubscription/set": Declared({}, optional),
    }


def _blobs(held: Known) -> dict[str, Declared]:
    blob = email.blob_ids(held)
    account = {"accountId": ACCOUNT}
    digits = one("aGVsbG8=", "aGVsbG8", "!!", "=", "aGVs\nbG8=")
    span = record({"blobId": blob}, {"offset": or_null(UNSIGNED), "length": or_null(UNSIGNED)})
    source = record({"data:asText": STRING}) | record({"data:asBase64": digits}) | span
    made = record({"data": array(source)}, {"type": or_null(STRING)}, most=1)
    properties = ("id", "size", "data", "data:asText", "data:asBase64", "digest:sha", "digest:md5")
    span_of = {"offset": or_null(UNSIGNED), "length": or_null(UNSIGNED)}
    return {
        "Blob/upload": Declared({**account, "create": mapping(CREATION, made)}, {}),
        "Blob/get": Declared(
            {**account, "ids": array(blob)},
            {"properties": or_null(array(one(*properties))), **span_of},
        ),
        "Blob/lookup": Declared(
            {
                **account,
                "ids": array(blob),
                "typeNames": array(one("Email", "Mailbox", "Thread", "Quota")),
            },
            {},
        ),
        "Blob/copy": Declared({**account, "fromAccountId": ACCOUNT, "blobIds": array(blob)}, {}),
    }


def _receipts(held: Known) -> dict[str, Declared]:
    disposition = record(
        {
            "actionMode": one("manual-action", "automatic-action", "x"),
            "sendingMode": one("mdn-sent-manually", "mdn-sent-automatically"),
            "type": one("displayed", "deleted", "dispatched", "processed"),
        }
    )
    message = ids_of(held, "Email")
    receipt = record(
        {"forEmailId": one("e3", "e3", "e1") | message, "disposition": disposition},
        {
            "subject": or_null(STRING),
            "textBody": or_null(STRING),
            "includeOriginalMessage": BOOLEAN,
            "reportingUA": or_null(STRING),
            "finalRecipient": or_null(
                one("rfc822; alice@example.org", "x", ";", "bob@example.org")
            ),
            "extensionFields": or_null(mapping(STRING, STRING)),
            "mdnGateway": STRING,
        },
    )
    marks = record({"keywords/$mdnsent": st.just(True)}, email.places(held, ids_of), most=1)
    return {
        "MDN/send": Declared(
            {
                "accountId": ACCOUNT,
                "identityId": ids_of(held, "Identity"),
                "send": mapping(CREATION, receipt),
                "onSuccessUpdateEmail": mapping(CREATION.map("#{}".format), marks, most=4),
            },
            {},
        ),
        "MDN/parse": Declared({"accountId": ACCOUNT, "blobIds": array(email.blob_ids(held))}, {}),
    }


def _rest(held: Known) -> dict[str, Declared]:
    account = {"accountId": ACCOUNT}
    vacation = {
        "isEnabled": BOOLEAN,
        "fromDate": or_null(DATE),
        "toDate": or_null(DATE),
        "subject": or_null(STRING),
        "textBody": or_null(STRING),
        "htmlBody": or_null(STRING),
    }
    quota = {
        "name": STRING,
        "scope": one("account", "domain"),
        "resourceType": one("octets", "count"),
        "type": one("Email", "Mailbox"),
    }
    names = (*vacation, "id")
    standing = _standard(held, "VacationResponse", names)
    return {
        "Core/echo": Declared(
            {}, {"any": STRING, "ids": array(STRING), "deep": mapping(STRING, STRING)}
        ),
        **_standard(held, "Thread", ("id", "emailIds")),
        **_standard(held, "Quota", ("id", "used", "hardLimit", "scope", "types", "warnLimit")),
        **queries(held, "Quota", quota, comparators(("name", "used", "scope"))),
        "VacationResponse/get": standing["VacationResponse/get"],
        "VacationResponse/set": set_of(
            held, "VacationResponse", record({}, vacation), patch(vacation, {"subject/x": STRING})
        ),
        "SearchSnippet/get": Declared(
            {**account, "emailIds": array(ids_of(held, "Email"))},
            {"filter": or_null(conditions(email.filters(held, ids_of)))},
        ),
    }


def _emails(held: Known) -> dict[str, Declared]:
    filters = email.filters(held, ids_of)
    collapse = {"collapseThreads": BOOLEAN}
    arrivals = email.arrivals(held, ids_of, ACCOUNT)
    return {
        **_standard(held, "Email", email.PROPERTIES),
        **queries(held, "Email", filters, email.SORT, collapse),
        "Email/get": Declared(
            {"accountId": ACCOUNT},
            {"ids": or_null(array(ids_of(held, "Email"))), **email.BODY_ARGUMENTS},
        ),
        "Email/set": set_of(held, "Email", email.made(held, ids_of), email.changed(held, ids_of)),
        **{name: Declared(*both) for name, both in arrivals.items()},
    }


@lru_cache(maxsize=1)
def schema() -> Mapping[str, Declared]:
    """Every method's arguments, by its name."""
    held = known()
    every = (_mailboxes, _emails, _identities, _submissions, _push, _blobs, _receipts, _rest)
    return {name: one_ for part in every for name, one_ in part(held).items()}
