"""Forms: each parameter once, well encoded, and not too many."""

import pytest

from protocols.oauth.forms import (
    FORM_OCTETS_MAX,
    PARAMETERS_MAX,
    FormInvalid,
    is_form,
    parse_form,
)


def test_names_and_values() -> None:
    """RFC 6749 B."""
    octets = b"+%25%26%2B%C2%A3%E2%82%AC=+x&a=1&b&c=&=d&e=f=g"
    assert parse_form(octets) == {" %&+£€": " x", "a": "1", "": "d", "e": "f=g"}
    assert parse_form(b"") == {} and parse_form(b"&&") == {}


@pytest.mark.parametrize(
    "octets", [b"a=1&a=1", b"a=&a=1", b"a&%61", b"a=%", b"a=%4", b"a=%zz", b"a=%ff", b"\xff=1"]
)
def test_what_is_no_form(octets: bytes) -> None:
    with pytest.raises(FormInvalid):
        parse_form(octets)


def test_resources_may_be_several() -> None:
    assert parse_form(b"resource=a&resource=b&x=1") == {"resource": "a", "x": "1"}


def test_a_form_is_bounded() -> None:
    many = b"&".join(b"p%d=1" % number for number in range(PARAMETERS_MAX))
    assert len(parse_form(many)) == PARAMETERS_MAX
    with pytest.raises(FormInvalid):
        parse_form(many + b"&x=1")
    long = b"a=" + b"x" * (FORM_OCTETS_MAX - 2)
    assert parse_form(long)
    with pytest.raises(FormInvalid):
        parse_form(long + b"x")


def test_what_a_refusal_says_of_a_name_is_tame() -> None:
    with pytest.raises(FormInvalid) as refused:
        parse_form(b"%22%0d%0a%5c=1&%22%0d%0a%5c=2")
    assert str(refused.value) == "the parameter ???? comes twice"


def test_the_type_of_a_form() -> None:
    assert is_form("application/x-www-form-urlencoded")
    assert is_form("Application/X-WWW-Form-Urlencoded ; charset=UTF-8")
    assert not is_form("") and not is_form("application/json")
