"""AUTH by OAUTHBEARER and XOAUTH2 (RFC 7628 4.4): who gets in, what a refusal says, its end."""

import json
from base64 import b64decode, b64encode
from dataclasses import replace

import pytest

from protocols.bearer import MAIL_SCOPE
from protocols.lmtp import LmtpDoor
from protocols.lmtp.policy import Policy
from storage import grants
from tests.fakes import FakeHouse, make_house
from tests.protocols.lmtp.test_access import ALICE, BOB, LOOPBACK, STRANGER, plain
from tests.protocols.lmtp.test_session import OFFER, Mta, connected, inbox
from tests.tokens import let_in


@pytest.fixture
def house() -> FakeHouse:
    return make_house({ALICE: "a", BOB: "b"})


def door(house: FakeHouse) -> LmtpDoor:
    """A door that trusts no network, and Alice."""
    offer = replace(OFFER, auth=True, metadata_url="https://mail.example.org/x")
    return LmtpDoor(house.ports, offer, policy=Policy(trusted=(), accounts=[ALICE]))


def oauthbearer(token: str, name: str = "") -> str:
    header = f"n,a={name}," if name else "n,,"
    return b64encode(f"{header}\x01auth=Bearer {token}\x01\x01".encode()).decode()


def xoauth2(token: str) -> str:
    return b64encode(f"user={ALICE}\x01auth=Bearer {token}\x01\x01".encode()).decode()


async def refused(mta: Mta, line: str, *, answer: str = "AQ==") -> tuple[str, str]:
    """What the challenge says, and the reply to the dummy response."""
    (challenge,) = await mta.ask(line)
    assert challenge.startswith("334 "), challenge
    status: str = json.loads(b64decode(challenge[4:]))["status"]
    return status, (await mta.ask(answer))[0][:9]


async def test_a_token_lets_in_with_and_without_an_initial_response(house: FakeHouse) -> None:
    token = let_in(house, house.accounts[ALICE]).access_token
    for lines in (
        [f"AUTH OAUTHBEARER {oauthbearer(token)}"],
        [f"AUTH oauthbearer {oauthbearer(token, ALICE)}"],
        ["AUTH OAUTHBEARER", oauthbearer(token)],
        [f"AUTH XOAUTH2 {xoauth2(token)}"],
        ["AUTH XOAUTH2", xoauth2(token)],
    ):
        async with connected(house, door=door(house), peer_ip=LOOPBACK) as mta:
            for line in lines[:-1]:
                assert await mta.ask(line) == ["334 "]
            assert (await mta.ask(lines[-1]))[0][:9] == "235 2.7.0"
            assert (await mta.send(ALICE))[0][:3] == "250"
    assert len(inbox(house, ALICE)) == 5


async def test_a_refusal_says_why_and_then_fails(house: FakeHouse) -> None:
    alice = house.accounts[ALICE]
    narrow = let_in(house, alice, scopes=("contacts",)).access_token
    bobs = let_in(house, house.accounts[BOB]).access_token
    mine = let_in(house, alice).access_token
    failed = "535 5.7.8"
    async with connected(house, door=door(house), peer_ip=LOOPBACK) as mta:
        wrong = f"AUTH OAUTHBEARER {oauthbearer('wrong')}"
        assert await refused(mta, wrong) == ("invalid_token", failed)
        assert await refused(mta, wrong, answer="*") == ("invalid_token", failed)
        assert await refused(mta, wrong, answer="!" * 5000) == ("invalid_token", failed)
        empty = f"AUTH OAUTHBEARER {oauthbearer('')}"
        assert await refused(mta, empty) == ("invalid_token", failed)
    async with connected(house, door=door(house), peer_ip=LOOPBACK) as mta:
        line = f"AUTH OAUTHBEARER {oauthbearer(narrow)}"
        assert await refused(mta, line) == ("insufficient_scope", failed)
        line = f"AUTH OAUTHBEARER {oauthbearer(mine, BOB)}"
        assert await refused(mta, line) == ("invalid_request", failed)
        line = f"AUTH OAUTHBEARER {oauthbearer(bobs)}"  # right, and not one who may
        assert await refused(mta, line) == ("invalid_request", failed)
        assert await refused(mta, f"AUTH XOAUTH2 {xoauth2('wrong')}", answer="") == ("401", failed)
    async with connected(house, door=door(house), peer_ip=LOOPBACK) as mta:
        assert (await mta.ask("AUTH XOAUTH2 =", "AUTH OAUTHBEARER AQ=="))[1][:9] == "501 5.5.2"
        (challenge,) = await mta.ask("AUTH OAUTHBEARER =")
        told = json.loads(b64decode(challenge[4:]))
        assert told["openid-configuration"] == "https://mail.example.org/x"
        assert told["scope"] == MAIL_SCOPE
        assert (await mta.ask("AQ==", f"AUTH PLAIN {plain(ALICE, 'a')}"))[1][:3] == "235"


async def test_a_cluster_that_cannot_say_is_no_wrong_token(house: FakeHouse) -> None:
    token = let_in(house, house.accounts[ALICE]).access_token
    async with connected(house, door=door(house), peer_ip=LOOPBACK) as mta:
        house.unavailable = True
        assert (await mta.ask(f"AUTH OAUTHBEARER {oauthbearer(token)}"))[0][:9] == "454 4.7.0"


async def test_no_token_is_looked_at_in_clear_text(house: FakeHouse) -> None:
    token = let_in(house, house.accounts[ALICE]).access_token
    async with connected(house, door=door(house), peer_ip=STRANGER) as mta:
        assert (await mta.ask(f"AUTH OAUTHBEARER {oauthbearer(token)}"))[0][:10] == "538 5.7.11"
    assert house.auth.attempts == []


async def test_what_a_token_opened_ends_with_its_grant(house: FakeHouse) -> None:
    alice = house.accounts[ALICE]
    issued = let_in(house, alice)
    async with connected(house, door=door(house), peer_ip=LOOPBACK) as mta:
        assert (await mta.ask(f"AUTH OAUTHBEARER {oauthbearer(issued.access_token)}"))[0][0] == "2"
        assert (await mta.send(ALICE))[0][:3] == "250"
        await mta.ask("MAIL FROM:<>")
        house.run(lambda plan: grants.plan_revoke(plan, alice, issued.grant))
        told = await mta.ask(f"RCPT TO:<{ALICE}>", "RSET", "MAIL FROM:<>")
        assert [each[:9] for each in told] == ["530 5.7.0", "250 2.0.0", "530 5.7.0"]
        again = let_in(house, alice).access_token
        assert (await mta.ask(f"AUTH OAUTHBEARER {oauthbearer(again)}"))[0][:3] == "235"
        assert (await mta.send(ALICE))[0][:3] == "250"
