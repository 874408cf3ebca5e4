"""AUTHENTICATE by OAUTHBEARER and XOAUTH2 over a connection, and when what it opened ends."""

import base64
import json

import pytest
import trio

from protocols.bearer import MAIL_SCOPE
from storage import grants
from storage.accounts import plan_set_password
from tests.protocols.imap.stage import ALICE, Client, open_stage
from tests.tokens import HOUR_MS, let_in

BOB = "bob@example.org"
GONE = b"* BYE The access that opened this connection was taken back"


def oauthbearer(token: str, name: str = "") -> bytes:
    header = f"n,a={name}," if name else "n,,"
    return f"{header}\x01host=mail.example.org\x01port=143\x01auth=Bearer {token}\x01\x01".encode()


def xoauth2(token: str, name: str = ALICE) -> bytes:
    return f"user={name}\x01auth=Bearer {token}\x01\x01".encode()


async def authenticate(client: Client, response: bytes, *, by: str = "OAUTHBEARER") -> bytes:
    """With an initial response; the first line heard."""
    await client.say(b"a AUTHENTICATE %b " % by.encode() + base64.b64encode(response))
    return await client.line()


async def refused(client: Client, response: bytes, *, by: str = "OAUTHBEARER") -> tuple[str, bytes]:
    """What the error challenge says, and the ending after the dummy response."""
    challenge = await authenticate(client, response, by=by)
    assert challenge.startswith(b"+ "), challenge
    told = json.loads(base64.b64decode(challenge[2:]))
    assert told["scope"] == MAIL_SCOPE
    await client.say(b"AQ==" if by == "OAUTHBEARER" else b"")
    return told["status"], await client.line()


async def test_both_are_offered_where_a_password_is_and_open_the_account() -> None:
    async with open_stage() as stage:
        token = let_in(stage.house, stage.alice).access_token
        for by, response in (
            ("OAUTHBEARER", oauthbearer(token)),
            ("oauthbearer", oauthbearer(token, ALICE.upper())),
            ("XOAUTH2", xoauth2(token)),
        ):
            client = stage.connect()
            assert b" AUTH=OAUTHBEARER AUTH=XOAUTH2 " in await client.line()
            assert (await authenticate(client, response, by=by)).startswith(b"a OK [CAPABILITY ")
            await client.select()


async def test_the_response_may_wait_for_its_challenge() -> None:
    async with open_stage() as stage:
        client = stage.connect()
        await client.line()
        await client.say(b"a AUTHENTICATE OAUTHBEARER")
        assert await client.line() == b"+ "
        token = let_in(stage.house, stage.alice).access_token
        await client.say(base64.b64encode(oauthbearer(token)))
        assert (await client.line()).startswith(b"a OK ")


async def test_from_afar_in_clear_text_no_token_is_looked_at() -> None:
    async with open_stage() as stage:
        client = stage.connect(peer_ip="198.51.100.7")
        assert b"OAUTH" not in await client.line()
        token = let_in(stage.house, stage.alice).access_token
        assert await authenticate(client, oauthbearer(token)) == (
            b"a NO [PRIVACYREQUIRED] Start TLS first"
        )
        assert stage.house.auth.attempts == []


async def test_a_wrong_token_is_told_why_before_it_has_failed() -> None:
    async with open_stage() as stage:
        stage.door.shared.metadata_url = "https://mail.example.org/.well-known/x"
        client = stage.connect()
        await client.line()
        wrong = (b"a NO [AUTHENTICATIONFAILED] The token opens nothing here",)
        assert await refused(client, oauthbearer("wrong")) == ("invalid_token", *wrong)
        assert await refused(client, xoauth2("wrong"), by="XOAUTH2") == ("401", *wrong)
        # RFC 7628 4.3: an empty auth asks what is wanted
        line = await authenticate(client, b"n,,\x01auth=\x01\x01")
        told = json.loads(base64.b64decode(line[2:]))
        assert told["openid-configuration"] == "https://mail.example.org/.well-known/x"
        await client.say(b"*")
        assert (await client.line()).startswith(b"a BAD ")
        narrow = let_in(stage.house, stage.alice, scopes=("contacts",)).access_token
        assert await refused(client, oauthbearer(narrow)) == ("insufficient_scope", *wrong)


async def test_who_guesses_on_is_sent_away() -> None:
    async with open_stage() as stage:
        client = stage.connect()
        await client.line()
        for _ in range(5):
            await refused(client, oauthbearer("wrong"))
        assert (await client.line()).startswith(b"* BYE ")


async def test_a_token_acts_for_its_own_account_alone() -> None:
    async with open_stage(people=(ALICE, BOB)) as stage:
        token = let_in(stage.house, stage.alice).access_token
        client = stage.connect()
        await client.line()
        aside = b"a NO [AUTHORIZATIONFAILED] Acting for another user is not offered"
        assert await refused(client, oauthbearer(token, BOB)) == ("invalid_request", aside)
        assert await refused(client, xoauth2(token, BOB), by="XOAUTH2") == ("400", aside)
        assert (await authenticate(client, oauthbearer(token, ALICE))).startswith(b"a OK ")


@pytest.mark.parametrize("response", [b"AQ==", b"bm9uc2Vuc2U=", b"%%", b"=="])
async def test_nonsense_is_bad(response: bytes) -> None:
    async with open_stage() as stage:
        client = stage.connect()
        await client.line()
        await client.say(b"a AUTHENTICATE OAUTHBEARER " + response)
        assert (await client.line()).startswith(b"a BAD ")
        await client.say(b"b AUTHENTICATE XOAUTH2 " + response)
        assert (await client.line()).startswith(b"b BAD ")


async def test_while_nothing_can_be_looked_up_it_is_no_fault_of_the_token() -> None:
    async with open_stage() as stage:
        token = let_in(stage.house, stage.alice).access_token
        client = stage.connect()
        await client.line()
        stage.house.unavailable = True
        assert (await authenticate(client, oauthbearer(token))).startswith(b"a NO [UNAVAILABLE] ")
        stage.house.unavailable, stage.house.auth.busy = False, True
        assert (await authenticate(client, oauthbearer(token))).startswith(b"a NO [LIMIT] ")


async def test_unauthenticate_lets_another_token_in() -> None:
    async with open_stage(people=(ALICE, BOB)) as stage:
        client = stage.connect()
        await client.line()
        first = let_in(stage.house, stage.alice)
        await authenticate(client, oauthbearer(first.access_token))
        assert (await client.ask(b"UNAUTHENTICATE"))[-1].startswith(b"t OK")
        stage.house.run(lambda plan: grants.plan_revoke(plan, stage.alice, first.grant))
        bob = let_in(stage.house, stage.house.accounts[BOB]).access_token
        assert (await authenticate(client, oauthbearer(bob, BOB))).startswith(b"a OK ")
        await client.select()


# --- the end of what a token has opened


async def test_a_connection_outlives_its_token_and_not_its_grant() -> None:
    async with open_stage() as stage:
        issued = let_in(stage.house, stage.alice)
        client = stage.connect()
        await client.line()
        await authenticate(client, oauthbearer(issued.access_token))
        stage.house.clock.pass_s(HOUR_MS / 1000)
        await client.select()
        again = stage.connect()
        await again.line()
        assert (await refused(again, oauthbearer(issued.access_token)))[0] == "invalid_token"
        stage.house.run(lambda plan: grants.plan_revoke(plan, stage.alice, issued.grant))
        await client.say(b"b NOOP")
        assert await client.line() == GONE
        with pytest.raises(EOFError):
            await client.line()


async def test_a_token_that_is_taken_back_by_itself_ends_its_own_connection() -> None:
    async with open_stage() as stage:
        issued = let_in(stage.house, stage.alice)
        client = stage.connect()
        await client.line()
        await authenticate(client, oauthbearer(issued.access_token))
        assert stage.house.run(
            lambda plan: grants.plan_revoke_token(plan, issued.access_token, client="c")
        )
        await client.say(b"b NOOP")
        assert await client.line() == GONE


@pytest.mark.parametrize("selected", [False, True])
async def test_who_idles_is_sent_away_at_once_by_a_changed_password(selected: bool) -> None:
    async with open_stage() as stage:
        client = stage.connect()
        await client.line()
        await authenticate(client, oauthbearer(let_in(stage.house, stage.alice).access_token))
        if selected:
            await client.select()
        await client.say(b"b IDLE")
        assert (await client.line()).startswith(b"+ ")
        await trio.testing.wait_all_tasks_blocked()
        stage.house.run(lambda plan: plan_set_password(plan, stage.alice, "another"))
        assert await client.line() == GONE


async def test_appends_that_follow_one_another_stop_too() -> None:
    async with open_stage() as stage:
        issued = let_in(stage.house, stage.alice)
        client = stage.connect()
        await client.line()
        await authenticate(client, oauthbearer(issued.access_token))
        await client.say(b"b APPEND INBOX {5+}\r\nX: y\n")
        assert (await client.line()).startswith(b"b OK ")
        stage.house.run(lambda plan: grants.plan_revoke(plan, stage.alice, issued.grant))
        await client.say(b"c APPEND INBOX {5+}\r\nX: y\n")
        heard = await client.line()
        assert heard == GONE, heard
