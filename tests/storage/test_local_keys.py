"""Keys of local rows, packed and unpacked, apart from all that is replicated."""

from hypothesis import given
from hypothesis import strategies as st

from storage import keys, local_keys
from storage.ids import BLOB_ID_BYTES, BlobId

U64 = st.integers(0, keys.U64_MAX)


@given(st.binary(min_size=BLOB_ID_BYTES, max_size=BLOB_ID_BYTES), U64)
def test_places_and_groups(blob: bytes, number: int) -> None:
    place, group = local_keys.place_key(BlobId(blob), number), local_keys.group_key(number)
    assert local_keys.unpack_place_key(place) == (blob, number)
    assert local_keys.unpack_group_key(group) == number
    assert inside(place, local_keys.PLACES_RANGE) and inside(group, local_keys.GROUPS_RANGE)
    for local in (place, local_keys.APPLIED_KEY, local_keys.CHECKPOINT_KEY):
        assert not inside(local, keys.REPLICATED_RANGE)
        assert not inside(local, local_keys.GROUPS_RANGE)


@given(U64, U64)
def test_groups_stand_in_order(one: int, other: int) -> None:
    assert (local_keys.group_key(one) < local_keys.group_key(other)) == (one < other)


def inside(key: bytes, window: keys.KeyRange) -> bool:
    return window[0] <= key < window[1]
