"""Who may hand mail in: by network, or by AUTH; and who is told what is here."""

from base64 import b64encode
from dataclasses import replace

import pytest
import trio
import trio.testing
from cryptography import x509

from protocols.lmtp import LmtpDoor
from protocols.lmtp.policy import Policy
from protocols.serve import UNAUTHENTICATED_S
from protocols.tls_stream import TlsContext
from storage import accounts
from tests.fakes import FakeHouse, make_house
from tests.protocols.lmtp.test_session import HELLO, OFFER, Mta, connected, inbox
from tests.tls import Authority, issue

ALICE, BOB = "alice@example.org", "bob@example.org"
STRANGER, LOOPBACK = "198.51.100.7", "127.0.0.1"


@pytest.fixture
def house() -> FakeHouse:
    return make_house({ALICE: "a", BOB: "b"})


def plain(user: str, password: str) -> str:
    return b64encode(f"\0{user}\0{password}".encode()).decode()


def door(house: FakeHouse, *, tls: TlsContext | None = None) -> LmtpDoor:
    """A door that trusts no network, and Alice."""
    offer = replace(OFFER, auth=True, starttls=tls is not None)
    return LmtpDoor(house.ports, offer, tls=tls, policy=Policy(trusted=(), accounts=[ALICE]))


@pytest.mark.parametrize(
    ("peer_ip", "trusted"),
    [
        ("127.0.0.1", True), ("::1", True), ("10.1.2.3", True), ("192.168.0.9", True),
        ("172.31.255.1", True), ("172.32.0.1", False), ("fd00::1", True), ("fe80::1%eth0", True),
        ("::ffff:10.0.0.1", True), ("::ffff:198.51.100.7", False),
        ("198.51.100.7", False), ("2001:db8::1", False), ("a pipe", False),
    ],
)  # fmt: skip
def test_networks_that_nobody_reaches_are_trusted_by_themselves(
    peer_ip: str, trusted: bool
) -> None:
    assert Policy().trusts(peer_ip) is trusted


def test_other_networks_are_named() -> None:
    policy = Policy(trusted=["198.51.100.0/24"])
    assert policy.trusts(STRANGER) and not policy.trusts(LOOPBACK)
    assert not policy.some_authenticate and not policy.admits(ALICE)
    with pytest.raises(ValueError):
        Policy(trusted=["198.51.100.7/24"])


async def test_mail_from_a_network_that_is_not_trusted_waits_there(house: FakeHouse) -> None:
    async with connected(house, peer_ip=STRANGER) as mta:
        answers = await mta.ask("MAIL FROM:<>", f"RCPT TO:<{ALICE}>", "VRFY x", "AUTH PLAIN =")
    assert [answer[:9] for answer in answers] == [
        "450 4.7.1", "503 5.5.1", "252 2.5.0", "502 5.5.1",
    ]  # fmt: skip


async def test_a_stranger_who_proves_nothing_is_sent_away(
    house: FakeHouse, autojump_clock: trio.testing.MockClock
) -> None:
    async with connected(house, peer_ip=STRANGER) as mta:
        began = trio.current_time()
        while answer := await mta.hear() if trio.current_time() - began > 50 else "x":
            if answer[:3] == "421":
                break
            await trio.sleep(10)
            await mta.ask("NOOP")
        assert trio.current_time() - began <= UNAUTHENTICATED_S


async def test_an_account_that_is_named_may_deliver(house: FakeHouse) -> None:
    async with connected(house, door=door(house), peer_ip=LOOPBACK) as mta:
        assert (await mta.ask("MAIL FROM:<>"))[0] == "530 5.7.0 authenticate first"
        assert (await mta.ask(f"AUTH PLAIN {plain(ALICE, 'a')}"))[0][:9] == "235 2.7.0"
        assert (await mta.send(ALICE))[0][:3] == "250"
        assert (await mta.ask("AUTH PLAIN ="))[0][:3] == "503"  # RFC 4954 4: once
    assert len(inbox(house, ALICE)) == 1


async def test_auth_step_by_step(house: FakeHouse) -> None:
    async with connected(house, door=door(house), peer_ip=LOOPBACK) as mta:
        assert await mta.ask("AUTH PLAIN") == ["334 "]
        assert (await mta.ask("*"))[0][:9] == "501 5.7.0"
        assert await mta.ask("AUTH login") == ["334 VXNlcm5hbWU6"]
        assert await mta.ask(b64encode(ALICE.encode()).decode()) == ["334 UGFzc3dvcmQ6"]
        assert (await mta.ask(b64encode(b"a").decode()))[0][:3] == "235"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (f"AUTH PLAIN {plain(ALICE, 'b')}", "535 5.7.8"),
        (f"AUTH PLAIN {plain('carol@example.org', 'c')}", "535 5.7.8"),
        (f"AUTH PLAIN {plain(BOB, 'b')}", "535 5.7.8"),  # right, and not one who may
        ("AUTH PLAIN ???", "501 5.5.2"),
        ("AUTH PLAIN =", "501 5.5.2"),
        (f"AUTH PLAIN {'A' * 4400}", "500 5.5.6"),
        ("AUTH GSSAPI", "504 5.5.4"),
        ("AUTH", "501 5.5.4"),
    ],
)
async def test_what_proves_nothing(house: FakeHouse, line: str, status: str) -> None:
    async with connected(house, door=door(house), peer_ip=LOOPBACK) as mta:
        assert (await mta.ask(line))[0][:9] == status
        assert (await mta.ask("MAIL FROM:<>"))[0][:3] == "530"


async def test_a_cluster_that_cannot_say_is_no_wrong_password(house: FakeHouse) -> None:
    async with connected(house, door=door(house), peer_ip=LOOPBACK) as mta:
        house.unavailable = True
        assert (await mta.ask(f"AUTH PLAIN {plain(ALICE, 'a')}"))[0][:9] == "454 4.7.0"
        house.unavailable, house.auth.busy = False, True
        assert (await mta.ask(f"AUTH PLAIN {plain(ALICE, 'a')}"))[0][:9] == "454 4.7.0"


async def test_no_password_in_clear_text_and_none_that_came_so_counts(house: FakeHouse) -> None:
    authority = Authority()
    server, trusting = authority.server(), authority.client()
    async with connected(house, door=door(house, tls=server), peer_ip=STRANGER) as mta:
        assert (await mta.ask(HELLO)) == ["250 STARTTLS"]  # and no AUTH
        assert (await mta.ask(f"AUTH PLAIN {plain(ALICE, 'a')}"))[0][:10] == "538 5.7.11"
        # What is pipelined behind STARTTLS came in clear text: it is never read (RFC 3207 4.2).
        await mta.say("STARTTLS", HELLO, f"AUTH PLAIN {plain(ALICE, 'a')}", "MAIL FROM:<>")
        assert (await mta.hear())[:3] == "220"
        secure = Mta(trio.SSLStream(mta.stream, trusting, server_hostname="mail.example.org"))
        assert await secure.ask(HELLO) == ["250 AUTH PLAIN LOGIN OAUTHBEARER XOAUTH2"]
        assert (await secure.ask("MAIL FROM:<>"))[0][:3] == "530"
        assert (await secure.ask(f"AUTH PLAIN {plain(ALICE, 'a')}"))[0][:3] == "235"
        assert (await secure.send(ALICE))[0][:3] == "250"
        await secure.stream.aclose()
    assert house.auth.attempts == [(ALICE, STRANGER)]


# --- VRFY and EXPN


async def test_names_are_told_by_policy(house: FakeHouse) -> None:
    house.run(lambda plan: accounts.plan_create_list(plan, "crew@example.org", [ALICE, "x@y.z"]))
    house.run(lambda plan: accounts.plan_create_list(plan, "none@example.org", []))
    async with connected(house, replace(OFFER, verify=True)) as mta:
        assert (await mta.ask(HELLO))[0] == "250 EXPN"
        answers = await mta.ask(
            f"VRFY <{ALICE}>", "VRFY crew@example.org", "VRFY carol@example.org", "VRFY junk",
            f"EXPN {ALICE}", "EXPN carol@example.org", "EXPN none@example.org", "VRFY",
        )  # fmt: skip
        assert [answer[:9] for answer in answers] == [
            "250 2.1.5", "250 2.1.5", "550 5.1.1", "550 5.1.1",
            "550 5.1.1", "550 5.1.1", "550 5.2.4", "501 5.5.4",
        ]  # fmt: skip
        await mta.say("EXPN crew@example.org")
        assert await mta.hear() == "250 2.1.5 <x@y.z>"  # the last line of two
        house.unavailable = True
        assert (await mta.ask(f"VRFY {ALICE}"))[0][:9] == "451 4.3.2"


async def test_a_stranger_is_told_nothing(house: FakeHouse) -> None:
    async with connected(house, replace(OFFER, verify=True), peer_ip=STRANGER) as mta:
        answers = await mta.ask(f"VRFY {ALICE}", f"EXPN {ALICE}")
    assert [answer[:3] for answer in answers] == ["252", "502"]


# --- certificates


async def test_an_mta_with_a_certificate_needs_no_password(house: FakeHouse) -> None:
    authority, people = Authority(), Authority()
    server = authority.server(client_ca=people.ca)

    async def starttls(mta: Mta, name: str | None) -> tuple[Mta, str]:
        shown = None if name is None else issue(people.ca, [x509.RFC822Name(name)])
        assert (await mta.ask("AUTH EXTERNAL ="))[0][:10] == "538 5.7.11"
        assert (await mta.ask("STARTTLS"))[0][:3] == "220"
        client = authority.client(shows=shown)
        secure = Mta(trio.SSLStream(mta.stream, client, server_hostname="mail.example.org"))
        return secure, (await secure.ask(HELLO))[0]

    async with connected(house, door=door(house, tls=server), peer_ip=STRANGER) as mta:
        secure, offered = await starttls(mta, ALICE)
        assert offered == "250 AUTH EXTERNAL PLAIN LOGIN OAUTHBEARER XOAUTH2"
        assert (await secure.ask(f"AUTH EXTERNAL {b64encode(BOB.encode()).decode()}"))[0][
            :3
        ] == "535"
        assert (await secure.ask("AUTH EXTERNAL"))[0] == "334 "
        assert (await secure.ask(""))[0][:3] == "235"
        assert (await secure.send(ALICE))[0][:3] == "250"
        await secure.stream.aclose()
    # Bob has a certificate and an account, and may not deliver; who shows none is offered nothing
    async with connected(house, door=door(house, tls=server), peer_ip=STRANGER) as mta:
        secure, _ = await starttls(mta, BOB)
        assert (await secure.ask("AUTH EXTERNAL ="))[0][:9] == "535 5.7.8"
        assert (await secure.ask("MAIL FROM:<>"))[0][:3] == "530"
        await secure.stream.aclose()
    async with connected(house, door=door(house, tls=server), peer_ip=STRANGER) as mta:
        secure, offered = await starttls(mta, None)
        assert offered == "250 AUTH PLAIN LOGIN OAUTHBEARER XOAUTH2"
        assert (await secure.ask("AUTH EXTERNAL ="))[0][:9] == "504 5.5.4"
        await secure.stream.aclose()
