"""What the file says of OAuth reaches the doors, and strangers begin so much of a network."""

from node.config_oauth import OauthClient, OauthSection
from node.oauth import (
    GUESSES_BURST,
    GUESSES_PER_S,
    NEWCOMERS_BURST,
    NEWCOMERS_PER_S,
    SITE_NETWORKS,
    oauth_settings,
)
from protocols.oauth.scopes import SUPPORTED
from protocols.oauth.settings import OauthSettings
from tests.fakes import FakeClock


def test_the_defaults_of_the_file_are_those_of_the_doors() -> None:
    made, plain = oauth_settings(OauthSection(), FakeClock()), OauthSettings()
    for field in ("terms", "code_ms", "user_code_ms", "attempts_max", "registration", "clients"):
        assert getattr(made, field) == getattr(plain, field), field


def test_what_the_file_says_reaches_the_doors() -> None:
    client = OauthClient(id="web", name="Web", redirect_uris=("https://w.example/in",))
    made = oauth_settings(
        OauthSection(
            access_token_s=60,
            refresh_token_s=7200,
            code_s=30,
            user_code_s=90,
            attempts=1,
            registration=False,
            client=(client,),
        ),
        FakeClock(),
    )
    assert (made.terms.access_ms, made.terms.refresh_ms) == (60_000, 7_200_000)
    assert (made.code_ms, made.user_code_ms, made.attempts_max) == (30_000, 90_000, 1)
    known = made.clients["web"]
    assert not made.registration and known.checked and known.scopes == SUPPORTED
    assert known.redirect_uris == ("https://w.example/in",)


def test_a_network_begins_so_much_and_then_now_and_again() -> None:
    clock = FakeClock()
    made = oauth_settings(OauthSection(), clock)
    for gate, burst, per_s in (
        (made.newcomers, NEWCOMERS_BURST, NEWCOMERS_PER_S),
        (made.guesses, GUESSES_BURST, GUESSES_PER_S),
    ):
        assert all(gate.take("2001:db8::1") for _ in range(int(burst)))
        assert not gate.take("2001:db8::2")
        assert gate.take("2001:db8:0:1::1") and gate.take("192.0.2.1")
        clock.pass_s(1 / per_s)
        assert gate.take("2001:db8::2") and not gate.take("2001:db8::2")
        gate.put_back("2001:db8::2")
        assert gate.take("2001:db8::2") and not gate.take("2001:db8::2")


def test_a_site_with_many_networks_is_no_crowd_of_strangers() -> None:
    gate = oauth_settings(OauthSection(), FakeClock()).newcomers
    begun = sum(gate.take(f"2001:db8:0:{network:x}::1") for network in range(1_000))
    assert begun == SITE_NETWORKS * NEWCOMERS_BURST
    assert gate.take("2001:db8:1::1") and not gate.take("2001:db8:0:ffff::1")
    assert gate.site("2001:db8:0:ffff::1") == gate.site("2001:db8::1") != gate.site("2001:db8:1::")
