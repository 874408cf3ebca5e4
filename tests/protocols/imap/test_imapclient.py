"""A client that others wrote, over real sockets on loopback: both sides are understood."""

from collections.abc import Callable
from datetime import UTC, datetime

import imapclient
import pytest
import trio

from protocols.imap import ImapDoor
from storage.accounts import plan_set_administrator
from tests.fakes import make_house
from tests.protocols.imap.stage import ALICE, SECRET, mail


def converse(port: int) -> None:
    """A day in the life of a mail reader."""
    with imapclient.IMAPClient("127.0.0.1", port, ssl=False, timeout=20) as client:
        client.login(ALICE, SECRET)
        assert client.has_capability("UIDPLUS")
        roles = {flags for found in client.list_folders() for flags in found[0]}
        assert {b"\\Sent", b"\\Trash", b"\\Drafts"} <= roles
        client.create_folder("Büro/Käse")
        assert (b"\\HasNoChildren",) in [
            found[0] for found in client.list_folders() if found[2] == "Büro/Käse"
        ]
        client.select_folder("INBOX")
        messages = [mail(f"number {number}", "Grüße\r\n" * 50) for number in range(5)]
        for message in messages:
            client.append("INBOX", message, (b"\\Seen",), datetime(2026, 2, 1, tzinfo=UTC))
        assert client.search(["SUBJECT", "number 3"]) == [4]
        assert client.search(["TEXT", "grüße"], charset="UTF-8") == [1, 2, 3, 4, 5]
        found = client.fetch([1, 2, 3, 4, 5], ["FLAGS", "ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[]"])
        assert [found[uid][b"BODY[]"] for uid in sorted(found)] == messages
        assert found[2][b"ENVELOPE"].subject == b"number 1"
        assert found[2][b"BODYSTRUCTURE"][:2] == (b"TEXT", b"PLAIN")
        client.add_flags([1, 2], [b"\\Flagged", b"$Work"])
        assert client.search("FLAGGED") == [1, 2]
        client.copy([1], "Büro/Käse")
        client.move([2], "Trash")
        client.delete_messages([3])
        client.expunge()
        assert client.search() == [1, 4, 5]
        assert client.folder_status("Büro/Käse")[b"MESSAGES"] == 1
        client.idle()
        client.idle_done()
        client.rename_folder("Büro/Käse", "Büro/Brot")
        client.delete_folder("Büro/Brot")
        client.close_folder()
        client.logout()


def limit_others(port: int) -> None:
    """An administrator sets what another may have."""
    root = "Other Users/bob@example.org"
    with imapclient.IMAPClient("127.0.0.1", port, ssl=False, timeout=20) as client:
        client.login(ALICE, SECRET)
        assert client.has_capability("QUOTASET")
        client.set_quota(
            [
                imapclient.imapclient.Quota(root, "STORAGE", None, 20),
                imapclient.imapclient.Quota(root, "MESSAGE", None, 3),
            ]
        )
        (held,) = (one for one in client._get_quota(root) if one.resource == "STORAGE")
        assert (held.quota_root, held.usage, held.limit) == (root, 0, 20)
        client.logout()
    with imapclient.IMAPClient("127.0.0.1", port, ssl=False, timeout=20) as client:
        client.login("bob@example.org", SECRET)
        assert not client.has_capability("QUOTASET")
        roots, quotas = client.get_quota_root("INBOX")
        assert roots.quota_roots == [""]
        assert {one.resource: one.limit for one in quotas} == {
            "STORAGE": 20,
            "MESSAGE": 3,
            "MAILBOX": 10_000,
        }
        with pytest.raises(imapclient.exceptions.IMAPClientError, match="OVERQUOTA"):
            client.append("INBOX", mail("large", "x" * 30_000))
        with pytest.raises(imapclient.exceptions.IMAPClientError, match="NOPERM"):
            client.set_quota([imapclient.imapclient.Quota("", "STORAGE", None, 9_999)])
        client.logout()


@pytest.mark.parametrize("talk", [converse, limit_others])
async def test_imapclient_has_a_good_day(talk: Callable[[int], None]) -> None:
    house = make_house({ALICE: SECRET, "bob@example.org": SECRET})
    house.run(lambda plan: plan_set_administrator(plan, house.accounts[ALICE], True))
    door = ImapDoor(house.ports)

    async def serve(stream: trio.SocketStream) -> None:
        await door.converse(stream, "127.0.0.1", False)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        with trio.fail_after(60):
            await trio.to_thread.run_sync(talk, port)
        nursery.cancel_scope.cancel()
