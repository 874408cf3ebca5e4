"""What is an address, and the one form of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.addresses import AddressInvalid, fold_address


@pytest.mark.parametrize(
    "address",
    [
        "a.b-c+d@x.example.org",
        "grå@exämple.org",
        "用户@例子.广告",
        "!#$%&'*/=?^_`{|}~@example.org",
        "a@localhost",
        "x" * 64 + "@example.org",
    ],
)
def test_addresses(address: str) -> None:
    assert fold_address(address) == address


@pytest.mark.parametrize(
    "text",
    [
        "", "@", "a", "a@", "@b", "a b@c", "a@b c", ".a@b", "a.@b", "a..b@c", "a@b@c", 'a"@b',
        '"a b"@c', "a@.b", "a@b..c", "a@-b", "a@b-", "a@b_c!", "a\n@b", "a@b\n", "a\0@b",
        "a@[1.2.3.4]",
        "x" * 65 + "@b", "a@" + "x" * 64, "a@" + "b." * 127 + "cc", "é" * 33 + "@b",
    ],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(AddressInvalid):
        fold_address(text)


def test_one_address_has_one_form() -> None:
    assert fold_address("Ame\u0301lie@Example.ORG.") == fold_address("am\u00e9lie@example.org")


@given(st.text(max_size=80))
def test_folding_any_text(text: str) -> None:
    try:
        folded = fold_address(text)
    except AddressInvalid:
        return
    assert fold_address(folded) == folded


def test_folding_long_text_is_quick() -> None:
    for text in ("a." * 500_000 + "@b", "a@" + "b-" * 500_000, "a" * 10**6 + "@" + "b" * 10**6):
        with pytest.raises(AddressInvalid):
            fold_address(text)
