"""URLs that carry an authorization: who may make them, what they give to whom, and what ends them.

What the RFC's examples say is in the dialogues; here are the attackers, rights that go, mailboxes
that change behind a URL's back, time, and the bounds.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import cast

import pytest

from protocols.imap import ImapDoor
from protocols.imap.ops.context import Context
from protocols.imap.ops.urlauth import url_mechanisms
from protocols.ports import Damaged
from storage.mail import mailboxes, url_keys
from storage.mail.moves import plan_expunge
from storage.mail.sharing import plan_rights
from tests.protocols.imap.ops.test_acl import BOB, share
from tests.protocols.imap.stage import ALICE, Client, Stage, mail, open_stage

CAROL = "carol@example.org"
SERVER = "imap://alice%40example.org@mail.example.org"
PART = f"{SERVER}/INBOX/;uid=1/;section=TEXT"


@asynccontextmanager
async def open_people(**applications: Sequence[str]) -> AsyncIterator[Stage]:
    """Alice with a message, Bob and Carol."""
    async with open_stage(people=(ALICE, BOB, CAROL)) as stage:
        stage.door = ImapDoor(stage.house.ports, url_applications=applications)
        stage.deliver(mail("tea", "Earl Grey.\r\n"))
        yield stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_people(submit=["Carol@example.org"], player=[BOB]) as found:
        yield found


async def log_in(stage: Stage, address: str = ALICE) -> Client:
    client = stage.connect()
    await client.login(address)
    return client


async def make(client: Client, rump: str) -> str:
    """A URL with its token."""
    lines = await client.ask(f'GENURLAUTH "{rump}" INTERNAL'.encode())
    assert lines[-1] == b"t OK GENURLAUTH completed", lines
    return lines[0].decode().removeprefix('* GENURLAUTH "').removesuffix('"')


async def refused(client: Client, rump: str) -> bytes:
    (ending,) = await client.ask(f'GENURLAUTH "{rump}" INTERNAL'.encode())
    assert ending.startswith(b"t BAD "), ending
    return ending


async def gives(client: Client, url: str, items: str = "") -> bytes | None:
    """What a URL gives; None: nothing."""
    asked = f'("{url}" {items})' if items else f'"{url}"'
    lines = await client.ask(f"URLFETCH {asked}".encode())
    assert lines[-1] == b"t OK URLFETCH completed", lines
    if lines[:-1] == [f'* URLFETCH "{url}" NIL'.encode()]:
        return None
    assert lines[0].startswith(f'* URLFETCH "{url}" '.encode()), lines
    return b"\n".join([lines[0].removeprefix(f'* URLFETCH "{url}" '.encode()), *lines[1:-1]])


TEA = b"{12}\nEarl Grey.\n"


# --- who may use it


@pytest.mark.parametrize(
    ("access", "by"),
    [
        ("anonymous", {ALICE, BOB, CAROL}),
        ("AuthUser", {ALICE, BOB, CAROL}),
        ("user+bob%40example.org", {BOB}),
        ("USER+Bob%40Example.org", {BOB}),
        ("submit+alice%40example.org", {CAROL}),
        ("submit+bob%40example.org", {CAROL}),
        ("player", {BOB}),
        ("PLAYER+alice%40example.org", {BOB}),
        ("stream", set()),
    ],
)
async def test_a_url_is_for_those_that_its_access_identifier_names(
    stage: Stage, access: str, by: set[str]
) -> None:
    url = await make(await log_in(stage), f"{PART};urlauth={access}")
    for address in (ALICE, BOB, CAROL):
        expected = TEA if address in by else None
        assert await gives(await log_in(stage, address), url) == expected, address


async def test_for_a_user_whom_nobody_is_it_looks_alike_and_is_for_nobody_ever(
    stage: Stage,
) -> None:
    alice = await log_in(stage)
    rump = f"{PART};urlauth=user+dave%40example.org"
    url = await make(alice, rump)
    assert await make(alice, rump) == url
    assert len(url) == len(rump) + len(":internal:") + 66
    stage.house.add_account("dave@example.org", "secret")
    dave = await log_in(stage, "dave@example.org")
    assert await gives(dave, url) is None
    assert await gives(dave, await make(alice, rump)) == TEA


async def test_nobody_makes_urls_of_others(stage: Stage) -> None:
    bob = await log_in(stage, BOB)
    told = {
        await refused(bob, f"imap://{user}@h/INBOX/;uid=1;urlauth=anonymous")
        for user in ("alice%40example.org", "nobody%40example.org", "x")
    }
    assert told == {b"t BAD not your user name in supplied URL"}


@pytest.mark.parametrize(
    "rump",
    [
        f"{SERVER}/Nowhere/;uid=1;urlauth=anonymous",
        f"{SERVER}/INBOX;uidvalidity=7/;uid=1;urlauth=anonymous",
        f"{SERVER}/INBOX;urlauth=anonymous",
        f"{SERVER}/;urlauth=anonymous",
        f"{SERVER};urlauth=anonymous",
        f"{SERVER}/INBOX?ALL;urlauth=anonymous",
        f"{SERVER}/INBOX/;uid=0;urlauth=anonymous",
        f"{PART};urlauth=frob",
        f"{PART};urlauth=user",
        f"{PART};urlauth=submit+",
        f"{PART};urlauth=anonymous+bob%40example.org",
        f"{PART};expire=2026-13-01T00:00:00Z;urlauth=anonymous",
        f"{PART};expire=tomorrow;urlauth=anonymous",
        f"{PART};urlauth=anonymous;expire=2027-01-01T00:00:00Z",
        f"{PART};urlauth=anonymous:internal:{'0' * 32}",
        f"{PART};urlauth=anonymous/;section=1",
        "/INBOX/;uid=1;urlauth=anonymous",
        "imap://mail.example.org/INBOX/;uid=1;urlauth=anonymous",
        "imap://alice@example.org@h/INBOX/;uid=1;urlauth=anonymous",
        "imap://%FF@h/INBOX/;uid=1;urlauth=anonymous",
    ],
)
async def test_what_no_token_is_made_of(stage: Stage, rump: str) -> None:
    client = await log_in(stage)
    assert (await refused(client, rump)) != b"t BAD unknown command"
    assert await client.ask(b"NOOP") == [b"t OK NOOP completed"]


async def test_there_is_one_mechanism(stage: Stage) -> None:
    client = await log_in(stage)
    assert (await client.ask(f'GENURLAUTH "{PART};urlauth=anonymous" XSAMPLE'.encode()))[
        -1
    ].startswith(b"t BAD ")
    assert (await client.ask(b"RESETKEY INBOX INTERNAL XSAMPLE"))[-1].startswith(b"t BAD ")
    url = await make(client, f"{PART};urlauth=anonymous")
    assert await gives(client, url.replace(":internal:", ":xsample:")) is None
    assert await gives(client, url.replace(":internal:", ":Internal:")) == TEA


# --- forgeries


async def test_any_octet_that_is_another_makes_it_void(stage: Stage) -> None:
    client = await log_in(stage)
    url = await make(client, f"{PART};urlauth=anonymous")
    assert await gives(client, url) == TEA
    for at in range(len(url)):
        other = "B" if url[at] != "B" else "C"
        if url[at].upper() == other or url[at] == "\\":
            continue
        forged = url[:at] + other + url[at + 1 :]
        if at >= len(url) - 66 or forged.lower() != url.lower():
            assert await gives(client, forged) is None, forged


@pytest.mark.parametrize(
    "change",
    [
        ("mail.example.org", "MAIL.example.org"),
        ("@mail", ";AUTH=*@mail"),
        ("INBOX", "inbox"),
        ("INBOX", "%49NBOX"),
        ("INBOX", "INBOX/."),
        ("INBOX", "Drafts/../INBOX"),
        ("uid=1", "uid=01"),
        ("uid=1", "uid=2"),
        ("/;section=TEXT", ""),
        (";section=TEXT", ";SECTION=TEXT"),
        (";urlauth", ";expire=2030-01-01T00:00:00Z;urlauth"),
        ("anonymous", "Anonymous"),
        ("anonymous", "authuser"),
    ],
)
async def test_what_means_the_same_is_another_url(stage: Stage, change: tuple[str, str]) -> None:
    client = await log_in(stage)
    url = await make(client, f"{PART};urlauth=anonymous")
    forged = url.replace(*change, 1)
    assert forged != url
    assert await gives(client, forged) is None
    rump = forged.partition(":internal:")[0]
    if "uid=2" not in rump:  # by itself it is good
        assert await gives(client, await make(client, rump)) is not None


async def test_a_token_of_one_serves_no_other_user_mailbox_or_part(stage: Stage) -> None:
    alice, bob = await log_in(stage), await log_in(stage, BOB)
    token = (await make(alice, f"{PART};urlauth=anonymous")).rpartition(":")[2]
    theirs = PART.replace("alice", "bob")
    await make(bob, f"{theirs};urlauth=anonymous")
    for url in (
        f"{theirs};urlauth=anonymous:internal:{token}",
        f"{SERVER}/INBOX/;uid=1;urlauth=anonymous:internal:{token}",
        f"{SERVER}/Drafts/;uid=1/;section=TEXT;urlauth=anonymous:internal:{token}",
    ):
        assert await gives(bob, url) is None


@pytest.mark.parametrize("token", ["0" * 66, "01" + "0" * 64, "0" * 32, "f" * 5000])
async def test_without_a_key_there_is_no_token_that_is_good(stage: Stage, token: str) -> None:
    bob = await log_in(stage, BOB)
    assert await gives(bob, f"{PART};urlauth=anonymous:internal:{token}") is None
    nobody = PART.replace("alice", "nobody")
    assert await gives(bob, f"{nobody};urlauth=anonymous:internal:{token}") is None


async def test_a_token_says_how_it_was_made(stage: Stage) -> None:
    client = await log_in(stage)
    rump, _, token = (await make(client, f"{PART};urlauth=anonymous")).rpartition(":")
    assert (token[:2], len(bytes.fromhex(token[2:]))) == ("01", 32)
    assert await gives(client, f"{rump}:02{token[2:]}") is None


async def test_a_token_reads_the_same_in_capitals(stage: Stage) -> None:
    client = await log_in(stage)
    rump, _, token = (await make(client, f"{PART};urlauth=anonymous")).rpartition(":")
    assert await gives(client, f"{rump}:{token.upper()}") == TEA


@pytest.mark.parametrize(
    "url",
    [
        PART,
        f"{PART};urlauth=anonymous",
        SERVER,
        f"{SERVER}/",
        f"{SERVER}/INBOX",
        f"{SERVER}/INBOX?ALL",
        "/INBOX/;uid=1",
        ";uid=1",
        "x",
        "imap://",
        "http://example.org/",
    ],
)
async def test_what_has_no_token_gives_nothing_even_to_its_owner(stage: Stage, url: str) -> None:
    client = await stage.reader()
    assert await gives(client, url) is None


async def test_a_url_of_any_octets_is_said_again_and_gives_nothing(stage: Stage) -> None:
    client = await log_in(stage)
    lines = await client.ask(b'URLFETCH {5+}\r\n\xff"\\ x {2+}\r\n\r\n')
    assert lines[0] == b"* URLFETCH {5}"
    assert lines[-1] == b"t OK URLFETCH completed"


# --- time and keys


async def test_a_url_is_good_up_to_the_time_it_names(stage: Stage) -> None:
    client = await log_in(stage)  # it is 2026-11-01T12:00:00Z
    rumps = [
        f"{PART};expire={when};urlauth=anonymous"
        for when in ("2026-11-01T12:01:00Z", "2026-11-01t13:01:00+01:00", "2026-11-01T11:59:59.5z")
    ]
    urls = [await make(client, rump) for rump in rumps]
    assert [await gives(client, url) for url in urls] == [TEA, TEA, None]
    stage.house.clock.pass_s(60)
    assert [await gives(client, url) for url in urls] == [TEA, TEA, None]
    stage.house.clock.pass_s(0.001)
    assert [await gives(client, url) for url in urls] == [None, None, None]


async def test_another_key_makes_void_what_was_made_before_of_that_mailbox(stage: Stage) -> None:
    client = await log_in(stage)
    await client.ask(b"APPEND Drafts {6+}\r\na: b\r\n")
    other = f"{SERVER}/Drafts/;uid=1;urlauth=anonymous"
    old, kept = await make(client, f"{PART};urlauth=anonymous"), await make(client, other)
    assert (await client.ask(b"RESETKEY INBOX"))[
        -1
    ] == b"t OK [URLMECH INTERNAL] The key is another"
    assert await gives(client, old) is None
    assert await gives(client, kept) is not None
    assert await gives(client, await make(client, f"{PART};urlauth=anonymous")) == TEA
    assert await client.ask(b"RESETKEY") == [b"t OK All keys removed"]
    assert await gives(client, kept) is None
    assert await make(client, other) != kept


async def test_sessions_with_the_mailbox_hear_of_another_key(stage: Stage) -> None:
    told = b"* OK [URLMECH INTERNAL] The key is another"
    here, idle, away = await stage.reader(), await stage.reader(), await stage.reader("Drafts")
    bob = await log_in(stage, BOB)
    share(stage, "lr")
    await bob.ask(b'SELECT "Other Users/alice@example.org/INBOX"')
    await idle.say(b"i IDLE")
    assert await idle.line() == b"+ idling"
    await make(here, f"{PART};urlauth=anonymous")  # makes one, and is no reset
    assert await here.ask(b"NOOP") == [b"t OK NOOP completed"]
    assert await here.ask(b"RESETKEY INBOX") == [b"t OK [URLMECH INTERNAL] The key is another"]
    assert await idle.line() == told
    assert await here.ask(b"NOOP") == [b"t OK NOOP completed"]
    assert await away.ask(b"NOOP") == [b"t OK NOOP completed"]
    assert await here.ask(b"RESETKEY") == [told, b"t OK All keys removed"]
    assert await away.ask(b"NOOP") == [told, b"t OK NOOP completed"]
    assert await bob.ask(b"NOOP") == [b"t OK NOOP completed"]
    other = await log_in(stage, BOB)
    await other.ask(b'RESETKEY "Other Users/alice@example.org/INBOX"')
    assert await bob.ask(b"NOOP") == [told, b"t OK NOOP completed"]
    assert await here.ask(b"NOOP") == [b"t OK NOOP completed"]


async def test_mechanisms_are_told_only_where_nobody_listens(stage: Stage) -> None:
    client = await log_in(stage)
    assert b"* OK [URLMECH INTERNAL] How URLs are authorized" in await client.select()
    # where others may listen nobody logs in either (6.2_privacy)
    heard = SimpleNamespace(may_send_secrets=False)
    assert url_mechanisms(cast(Context, heard)) is None


# --- mailboxes and rights


async def test_a_mailbox_made_anew_under_the_same_name_is_another(stage: Stage) -> None:
    client = await log_in(stage)
    rump = f"{SERVER}/Old/;uid=1;urlauth=anonymous"
    await client.ask(b"CREATE Old")
    await client.ask(b"APPEND Old {6+}\r\na: 1\r\n")
    url = await make(client, rump)
    assert await gives(client, url) is not None
    await client.ask(b"RENAME Old Kept")
    assert await gives(client, url) is None
    await client.ask(b"CREATE Old")
    await client.ask(b"APPEND Old {6+}\r\na: 2\r\n")
    assert await gives(client, url) is None
    await make(client, rump)
    assert await gives(client, url) is None
    await client.ask(b"DELETE Old")
    await client.ask(b"RENAME Kept Old")
    assert await gives(client, url) is not None


async def test_a_mailbox_that_is_deleted_takes_its_key_with_it(stage: Stage) -> None:
    client = await log_in(stage)
    await client.ask(b"CREATE Old")
    found = mailboxes.by_path(stage.house.view(), stage.alice, ["Old"])
    assert found is not None
    await make(client, f"{SERVER}/Old/;uid=1;urlauth=anonymous")
    assert url_keys.url_key(stage.house.view(), stage.alice, stage.alice, found.id)
    await client.ask(b"DELETE Old")
    assert url_keys.url_key(stage.house.view(), stage.alice, stage.alice, found.id) is None


SHARED = "imap://bob%40example.org@h/Other%20Users/alice@example.org/INBOX/;uid=1/;section=TEXT"


async def test_a_url_gives_what_its_maker_may_see_now(stage: Stage) -> None:
    bob, carol = await log_in(stage, BOB), await log_in(stage, CAROL)
    rump = f"{SHARED};urlauth=user+carol%40example.org"
    assert await refused(bob, rump) == b"t BAD no such mailbox in supplied URL"
    share(stage, "l")
    await refused(bob, rump)
    share(stage, "lr")
    url = await make(bob, rump)
    assert await gives(carol, url) == TEA
    assert await gives(bob, url) is None
    share(stage, "l")
    assert await gives(carol, url) is None
    share(stage, "lr")
    assert await gives(carol, url) == TEA
    alice = await log_in(stage)  # the owner's keys are others
    await alice.ask(b"RESETKEY")
    assert await gives(carol, url) == TEA
    await bob.ask(b'RESETKEY "Other Users/alice@example.org/INBOX"')
    assert await gives(carol, url) is None


async def test_no_key_of_a_mailbox_that_one_may_not_read(stage: Stage) -> None:
    bob = await log_in(stage, BOB)
    theirs = b'RESETKEY "Other Users/alice@example.org/INBOX"'
    assert await bob.ask(theirs) == [b"t NO [NONEXISTENT] No such mailbox"]
    share(stage, "l")
    assert await bob.ask(theirs) == [b"t NO [NOPERM] Permission denied"]
    assert await bob.ask(b"RESETKEY Nowhere") == [b"t NO [NONEXISTENT] No such mailbox"]


async def test_a_right_that_goes_while_urls_are_told_counts_at_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    share(stage, "lr")
    bob = await log_in(stage, BOB)
    url = await make(bob, f"{SHARED};urlauth=anonymous")
    read = stage.house.blobs.read

    def last_time(*asked: object) -> bytes:
        found: bytes = read(*asked)  # type: ignore[arg-type]
        inbox = mailboxes.by_path(stage.house.view(), stage.alice, ["INBOX"])
        assert inbox is not None
        bob_id = stage.house.accounts[BOB]
        stage.house.run(lambda plan: plan_rights(plan, stage.alice, inbox.id, bob_id, ""))
        return found

    monkeypatch.setattr(stage.house.blobs, "read", last_time)
    lines = await bob.ask(f'URLFETCH "{url}" "{url}"'.encode())
    assert lines[2] == f' "{url}" NIL'.encode()


# --- bounds and faults


async def test_a_command_names_so_many_urls(stage: Stage) -> None:
    client = await log_in(stage)
    assert (await client.ask(b"URLFETCH" + b" x" * 100))[-1] == b"t OK URLFETCH completed"
    assert (await client.ask(b"URLFETCH" + b" x" * 101))[-1].startswith(b"t BAD ")
    pair = f' "{PART};urlauth=anonymous" INTERNAL'.encode()
    assert (await client.ask(b"GENURLAUTH" + pair * 100))[-1] == b"t OK GENURLAUTH completed"
    assert (await client.ask(b"GENURLAUTH" + pair * 101))[-1].startswith(b"t BAD ")


async def test_a_url_is_only_so_long(stage: Stage) -> None:
    client = await log_in(stage)
    long = b"imap://" + b"a" * (16 * 1024 - 7)
    assert (await client.ask(b"URLFETCH " + long))[-1] == b"t OK URLFETCH completed"
    assert (await client.ask(b"URLFETCH " + long + b"a"))[-1].startswith(b"t BAD ")


async def test_a_user_has_only_so_many_keys(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(url_keys, "KEYS_MAX", 1)
    client = await log_in(stage)
    await make(client, f"{PART};urlauth=anonymous")
    other = f'GENURLAUTH "{SERVER}/Drafts/;uid=1;urlauth=anonymous" INTERNAL'.encode()
    assert (await client.ask(other))[-1].startswith(b"t NO [LIMIT] ")


async def test_without_a_majority_nothing_is_said(stage: Stage) -> None:
    client = await log_in(stage)
    url = await make(client, f"{PART};urlauth=anonymous")
    stage.house.unavailable = True
    for command in (f'URLFETCH "{url}"', "RESETKEY", f'GENURLAUTH "{PART};urlauth=x" INTERNAL'):
        assert (await client.ask(command.encode()))[-1].startswith(b"t NO [UNAVAILABLE]")


async def test_what_cannot_be_read_now_is_no_and_what_was_said_is_whole(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await log_in(stage)
    url = await make(client, f"{PART};urlauth=anonymous")

    for fault in (KeyError, Damaged):

        def damaged(*_: object, fault: type[Exception] = fault) -> bytes:
            raise fault

        monkeypatch.setattr(stage.house.blobs, "read", damaged)
        said = await client.ask(f'URLFETCH x "{url}"'.encode())
        assert said[:-1] == [b'* URLFETCH "x" NIL']
        assert said[-1].startswith(b"t NO [CORRUPTION] ")
        (ending,) = await client.ask(f'URLFETCH ("{url}" BODYPARTSTRUCTURE BINARY)'.encode())
        assert ending.startswith(b"t NO [CORRUPTION] ")


async def test_what_is_expunged_while_it_is_looked_up_is_nil(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await log_in(stage)
    url = await make(client, f"{PART};urlauth=anonymous")

    def expunged(*_: object) -> bytes:
        inbox = mailboxes.by_path(stage.house.view(), stage.alice, ["INBOX"])
        assert inbox is not None
        stage.house.run(lambda plan: plan_expunge(plan, stage.alice, inbox.id, [1]))
        raise KeyError

    monkeypatch.setattr(stage.house.blobs, "read", expunged)
    assert await gives(client, url) is None


# --- CATENATE


async def test_catenate_takes_urls_that_are_authorized_for_who_appends(stage: Stage) -> None:
    alice, bob, carol = [await log_in(stage, address) for address in (ALICE, BOB, CAROL)]
    url = await make(alice, f"{PART}/;partial=5.4;urlauth=user+bob%40example.org")
    append = f'APPEND Drafts CATENATE (TEXT {{8+}}\r\nA: b\r\n\r\n URL "{url}")'.encode()
    assert (await carol.ask(append))[-1].startswith(f"t NO [BADURL {url}] ".encode())
    assert (await bob.ask(append))[-1].startswith(b"t OK [APPENDUID ")
    await bob.select("Drafts")
    assert b"Grey)" in await bob.ask(b"FETCH 1 BODY.PEEK[TEXT]")
    await alice.ask(b"RESETKEY")
    assert (await bob.ask(append))[-1].startswith(b"t NO [BADURL ")


async def test_catenate_takes_no_absolute_url_without_a_token(stage: Stage) -> None:
    alice = await log_in(stage)
    for url in (PART, f"{PART};urlauth=anonymous"):
        append = f'APPEND Drafts CATENATE (URL "{url}")'.encode()
        assert (await alice.ask(append))[-1].startswith(b"t NO [BADURL ")


# --- rejected before any of it


async def test_strangers_have_no_business_here(stage: Stage) -> None:
    client = stage.connect()
    await client.line()
    for command in (b"URLFETCH x", b"RESETKEY", b"GENURLAUTH x INTERNAL"):
        assert (await client.ask(command))[-1] == b"t BAD Not in this state"


async def test_without_a_list_nobody_fetches_for_an_application(stage: Stage) -> None:
    stage.door = ImapDoor(stage.house.ports)
    alice, carol = await log_in(stage), await log_in(stage, CAROL)
    url = await make(alice, f"{PART};urlauth=submit+alice%40example.org")
    assert await gives(carol, url) is None
    await refused(alice, f"{PART};urlauth=player")
