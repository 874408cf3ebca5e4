"""What was rendered before: found again while it is true, and no more of it than may be."""

from protocols.jmap.fragments import FragmentCache, Key
from storage.ids import AccountId
from tests.protocols.jmap.desk import Desk


def key(row: bytes, *properties: str, account: int = 1) -> Key:
    return AccountId(account), properties, row


def test_an_object_is_its_account_s_its_row_s_and_its_properties() -> None:
    cache = FragmentCache(10_000)
    cache.keep(key(b"row", "id", "size"), b"{}")
    assert cache.get(key(b"row", "id", "size")) == b"{}"
    assert cache.get(key(b"row", "size", "id")) is None
    assert cache.get(key(b"other", "id", "size")) is None
    assert cache.get(key(b"row", "id", "size", account=2)) is None


def test_those_used_longest_ago_are_forgotten() -> None:
    cache = FragmentCache(10_000)
    for number in range(9):
        cache.keep(key(b"%d" % number), bytes(1000))
        cache.keep(key(b"%d" % number), bytes(1000))
        cache.get(key(b"0"))
    assert cache.octets <= 10_000
    assert len(cache) == 7
    assert cache.get(key(b"0")) is not None
    assert cache.get(key(b"1")) is None
    cache.keep(key(b"large"), bytes(20_000))
    assert (len(cache), cache.octets) == (0, 0)


async def test_a_list_asked_for_again_is_as_new_as_the_first_time() -> None:
    desk = Desk()
    emails = [desk.deliver() for _ in range(3)]
    properties = ["keywords", "mailboxIds", "subject", "preview"]

    async def shown() -> dict[str, dict[str, object]]:
        told = await desk.call("Email/get", ids=emails, properties=properties)
        return {each["id"]: each for each in told["list"]}

    first = await shown()
    assert await shown() == first
    patch = {emails[0]: {"keywords/$flagged": True}}
    await desk.call("Email/set", update=patch, destroy=[emails[1]])
    again = await shown()
    assert set(again) == {emails[0], emails[2]}
    assert again[emails[0]] == first[emails[0]] | {"keywords": {"$flagged": True}}
    assert again[emails[2]] == first[emails[2]]
    await desk.call("Email/set", update={emails[0]: {"keywords/$flagged": None}})
    assert (await shown())[emails[0]] == first[emails[0]]
    told = await desk.call("Email/get", ids=emails[:1], properties=["subject"])
    assert set(told["list"][0]) == {"id", "subject"}
