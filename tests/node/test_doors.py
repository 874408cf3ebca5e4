"""What the doors tell of where they are."""

from node.config import NodeSection
from node.doors import named_url


def test_the_service_is_named_with_the_port_it_is_reached_at() -> None:
    def named(https: int | None) -> str | None:
        return named_url("mail.example.org", NodeSection(name="n1", host="h", peer=1, https=https))

    assert named(8443) == "https://mail.example.org:8443"
    assert named(443) == "https://mail.example.org"
    assert named(None) == "https://mail.example.org"  # TLS ends at a proxy


def test_a_service_without_a_name_is_none() -> None:
    assert named_url("", NodeSection(name="n1", host="h", peer=1, https=8443)) is None
