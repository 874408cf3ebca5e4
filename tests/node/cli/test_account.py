"""What `trireme account` asks a node, and how it shows the answer."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

# The package has a command of the same name.
ROOM = import_module("node.cli.account")
DEMO = Path(__file__).resolve().parents[3] / "cluster.toml"
SAID = {
    "id": "a7",
    "address": "root@example.org",
    "aliases": ["boss@example.org", "r@example.org"],
    "emails": 3,
    "octets": 900,
    "quota": None,
    "messages": 10,
    "mailbox_limit": 20,
    "administrator": True,
    "created": 1,
    "mailboxes": [{"path": "INBOX", "emails": 3, "unread": 1}],
}
Asked = list[tuple[str, Mapping[str, Any]]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What a node was asked; it answers with SAID."""
    found: Asked = []

    def ask_any(config: object, call: str, args: Mapping[str, Any] | None = None) -> Any:
        found.append((call, args or {}))
        return {"accounts": [SAID], "more": 0} if call == "account.list" else SAID

    monkeypatch.setattr(ROOM, "ask_any", ask_any)
    return found


def account(*words: str, password: str = "secret\n") -> str:
    """What is printed."""
    ended = CliRunner().invoke(ROOM.account, [*words, "-c", str(DEMO)], input=password)
    assert ended.exit_code == 0, ended.output
    return ended.output


@pytest.mark.parametrize(
    ("flag", "administrator"),
    [((), False), (("--administrator",), True), (("--no-administrator",), False)],
)
def test_an_account_is_made_an_administrators_when_that_is_said(
    asked: Asked, flag: tuple[str, ...], administrator: bool
) -> None:
    said = account("add", "root@example.org", "--password-stdin", *flag)
    args = {"address": "root@example.org", "password": "secret", "administrator": administrator}
    assert asked == [("account.add", args)]
    assert said == "root@example.org is account a7, an administrator.\n"  # as the node says


@pytest.mark.parametrize(
    ("flag", "administrator"),
    [((), None), (("--administrator",), True), (("--no-administrator",), False)],
)
def test_what_is_not_said_stays_as_it_is(
    asked: Asked, flag: tuple[str, ...], administrator: bool | None
) -> None:
    account("update", "root@example.org", *flag)
    ((call, args),) = asked
    assert call == "account.update"
    assert args == {
        "address": "root@example.org",
        "add": [],
        "remove": [],
        "quota": None,
        "messages": None,
        "mailbox_limit": None,
        "administrator": administrator,
    }


def test_limits_are_read_as_people_write_them(asked: Asked) -> None:
    account("update", "r@example.org", "--quota", "2M", "--messages", "10", "--mailboxes", "none")
    ((_, args),) = asked
    assert (args["quota"], args["messages"], args["mailbox_limit"]) == (2 << 20, 10, 0)


def test_an_account_is_shown_with_what_it_may(asked: Asked) -> None:
    assert account("show", "root@example.org").splitlines() == [
        "id: a7",
        "address: root@example.org",
        "aliases: boss@example.org, r@example.org",
        "emails: 3",
        "octets: 900",
        "quota: None",
        "messages: 10",
        "mailbox_limit: 20",
        "administrator: yes",
        "created: 1",
        "mailbox INBOX: 3 emails, 1 unread",
    ]
    assert '"administrator": true' in account("show", "root@example.org", "--json")


def test_administrators_stand_out_in_a_list(asked: Asked) -> None:
    head, row = account("list").splitlines()
    assert head.split() == ["id", "address", "emails", "octets", "administrator"]
    assert row.split() == ["a7", "root@example.org", "3", "900", "yes"]


def test_an_older_node_that_makes_no_administrators_is_not_misquoted(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = {"id": "a7", "address": "root@example.org"}
    monkeypatch.setattr(ROOM, "ask_any", lambda *_: older)
    said = account("add", "root@example.org", "--password-stdin", "--administrator")
    assert said == "root@example.org is account a7.\n"
