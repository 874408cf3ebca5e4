"""Which URLs are pushed to, and which addresses are never connected to."""

import pytest

from protocols.webpush.targets import URL_OCTETS_MAX, Target, is_public, read_target


def test_a_target_of_a_url() -> None:
    plain = read_target("https://Push.Example/a/b?c=d#e")
    assert plain == Target("push.example", 443, "/a/b?c=d")
    assert plain.authority == "push.example" and plain.origin == "https://push.example"
    other = read_target("https://push.example:8443")
    assert other == Target("push.example", 8443, "/")
    assert other.origin == "https://push.example:8443"
    six = read_target("https://[2001:db8::1]:444/x")
    assert six is not None and six.authority == "[2001:db8::1]:444"


@pytest.mark.parametrize(
    "url",
    [
        "http://push.example/",
        "HTTPS://push.example/",
        "https:/push.example/",
        "https://",
        "https:///x",
        "https://user@push.example/",
        "https://user:pass@push.example/",
        "https://push.example:0/",
        "https://push.example:99999/",
        "https://push.example:x/",
        "https://[::1/",
        "https://push.example/a b",
        "https://push.example/a\r\nX: y",
        "https://push.example/ä",
        "https://push.example/" + "a" * URL_OCTETS_MAX,
        "file:///etc/passwd",
        "",
    ],
)
def test_what_nothing_is_pushed_to(url: str) -> None:
    assert read_target(url) is None


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808"],
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.0.1",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:db8::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "localhost",
        "0x7f.1",
        "2130706433",
        "",
    ],
)
def test_addresses_that_only_we_can_reach(address: str) -> None:
    assert not is_public(address)
