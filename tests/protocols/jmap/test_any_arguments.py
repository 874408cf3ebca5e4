"""Whatever a client sends, every method answers in JMAP's terms, quickly, and never serverFail.

Arguments of every method are drawn from what they should be, what they nearly are, and any JSON.
"""

from typing import Any, Final

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols.jmap.methods import METHODS
from protocols.jmap.methods.email_get import EMAIL_DEFAULTS
from tests.protocols.jmap.desk import Desk, message

TEXT: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALARS: Final = (
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e9, 1e9) | TEXT
)
ANY: Final = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
IDS: Final = st.sampled_from(
    ["a1", "m1", "m4", "e1", "e2", "t1", "m99", "e0", "x", "#k", "#none", ""]
)
BLOBS: Final = st.sampled_from(["b" + "0" * 64, "b" + "0" * 64 + "-0-5-1", "b1"])
NAMES: Final = st.sampled_from(
    [
        *EMAIL_DEFAULTS,
        *(
            "headers",
            "bodyStructure",
            "header:From",
            "header:To:asAddresses:all",
            "header:X:asDate",
        ),
        *("name", "parentId", "role", "sortOrder", "isSubscribed", "totalEmails", "myRights"),
        *(
            "emailIds",
            "keywords/$seen",
            "mailboxIds/m4",
            "keywords/a/b",
            "partId",
            "blobId",
            "type",
        ),
        *("subParts", "cid", "disposition", "inMailbox", "operator", "conditions", "property"),
        *("inMailboxOtherThan", "before", "after", "minSize", "maxSize", "hasKeyword"),
        *("allInThreadHaveKeyword", "notKeyword", "hasAttachment", "text", "from", "body"),
        *("header", "isAscending", "collation", "keyword", "hasAnyRole", "id"),
    ]
)
PATHS: Final = st.sampled_from(["/list/*/id", "/ids", "", "/*/*", "/created/k/id", "/list/0"])
REFERENCES: Final = st.fixed_dictionaries(
    {"resultOf": st.sampled_from(["c0", "c1"]), "name": st.sampled_from(sorted(METHODS))},
    optional={"path": PATHS},
)
OBJECTS: Final = st.recursive(
    st.dictionaries(NAMES, ANY | IDS | BLOBS | st.dictionaries(IDS, st.just(True)), max_size=4),
    lambda inner: st.dictionaries(NAMES, inner | st.lists(inner, max_size=2), max_size=3),
    max_leaves=4,
)
VALUES: Final = (
    ANY
    | IDS
    | OBJECTS
    | st.lists(IDS | NAMES | OBJECTS, max_size=4)
    | st.dictionaries(IDS | st.just("k"), OBJECTS, max_size=3)
)
ARGUMENTS: Final = st.sampled_from(
    [
        *("ids", "properties", "bodyProperties", "fetchAllBodyValues", "maxBodyValueBytes"),
        *(
            "sinceState",
            "maxChanges",
            "sinceQueryState",
            "ifInState",
            "create",
            "update",
            "destroy",
        ),
        *("filter", "sort", "position", "anchor", "anchorOffset", "limit", "calculateTotal"),
        *("emailIds", "blobIds", "fromAccountId", "onSuccessDestroyOriginal", "upToId"),
        *("collapseThreads", "emails", "onDestroyRemoveEmails", "sortAsTree", "filterAsTree"),
        *("#ids", "#create", "#destroy", "accountId", "surprise"),
    ]
)
CALLS: Final = st.lists(
    st.tuples(
        st.sampled_from(sorted(METHODS)),
        st.dictionaries(ARGUMENTS, VALUES | REFERENCES, max_size=4),
    ),
    min_size=1,
    max_size=4,
)
FAULTS: Final = frozenset(("serverFail", "serverPartialFail"))


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CALLS)
def test_any_arguments_are_answered(calls: list[tuple[str, dict[str, Any]]]) -> None:
    async def ask() -> list[Any]:
        desk = Desk()
        desk.deliver()
        desk.deliver(message(number=2))
        asked = [(name, {"accountId": desk.account, **given_}) for name, given_ in calls]
        return await desk.request(*asked)

    for (name, _), (told, result, _) in zip(calls, trio.run(ask), strict=True):
        assert told in (name, "error")
        assert told == name or result["type"] not in FAULTS, result
