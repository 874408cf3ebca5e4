"""The session resource tells the truth about limits and about what there is."""

from protocols.jmap.capabilities import (
    CAPABILITIES,
    CORE,
    MAIL,
    VAPID,
    WEBSOCKET,
    Limits,
    session,
    session_state,
)
from protocols.jmap.methods import METHODS
from protocols.ports import Principal
from storage.ids import AccountId
from storage.mail.ingest import EMAIL_MAILBOXES_MAX
from storage.mail.tree import MAILBOX_DEPTH_MAX, MAILBOX_NAME_OCTETS_MAX
from tests.protocols.jmap.desk import Desk

ANN = Principal(AccountId(7), "ann@example.org")


def test_capabilities_are_those_with_methods() -> None:
    told = session(ANN, Limits(), "http://x", "key")
    with_methods = {m.capability for m in METHODS.values()}
    assert set(told["capabilities"]) == CAPABILITIES == with_methods | {WEBSOCKET, VAPID}


def test_the_socket_is_where_the_server_is() -> None:
    for base, url in (("http://x:8080", "ws://x:8080/jmap/ws"), ("https://y", "wss://y/jmap/ws")):
        told = session(ANN, Limits(), base, None)["capabilities"][WEBSOCKET]
        assert told == {"url": url, "supportsPush": True}


def test_limits_are_the_codes_own() -> None:
    limits = Limits(upload_bytes_max=1, uploads_max=2, request_bytes_max=3, requests_max=4)
    told = session(ANN, limits, "http://x", None)
    core = told["capabilities"][CORE]
    assert [core[name] for name in list(core)[:4]] == [1, 2, 3, 4]
    mail = told["accounts"]["a7"]["accountCapabilities"][MAIL]
    assert mail["maxMailboxesPerEmail"] == EMAIL_MAILBOXES_MAX
    assert mail["maxMailboxDepth"] == MAILBOX_DEPTH_MAX
    assert mail["maxSizeMailboxName"] == MAILBOX_NAME_OCTETS_MAX


def test_the_state_changes_with_the_session_and_not_with_its_urls() -> None:
    state = session_state(ANN, Limits(), None)
    assert session(ANN, Limits(), "http://x", None)["state"] == state
    assert session(ANN, Limits(), "https://y", None)["state"] == state
    assert session_state(Principal(AccountId(8), ANN.address), Limits(), None) != state
    assert session_state(ANN, Limits(calls_max=1), None) != state
    assert session_state(ANN, Limits(), "a key") != state
    assert session(ANN, Limits(), "", "a key")["capabilities"][VAPID] == {
        "applicationServerKey": "a key"
    }


async def test_sort_options_told_are_sorts_that_work() -> None:
    desk = Desk()
    mail = session(ANN, Limits(), "", None)["accounts"]["a7"]["accountCapabilities"][MAIL]
    for option in mail["emailQuerySortOptions"]:
        keyword = {"keyword": "$flagged"} if option.endswith("Keyword") else {}
        told = await desk.call("Email/query", sort=[{"property": option, **keyword}])
        assert told["ids"] == []
