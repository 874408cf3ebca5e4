"""Records of any type: ids, indexes and change log in step."""

import random

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from storage import changes, keys
from storage.batch import ProposalId
from storage.collection import PAGE_RECORDS, Collection, Missing
from storage.ids import AccountId
from storage.indexes import Index, Taken
from storage.keys import TypeCode
from storage.memory import MemoryEngine
from storage.plan import Plan

ALICE = AccountId(1)
KIND = TypeCode.IDENTITY


class Pet(msgspec.Struct, array_like=True, frozen=True):
    """What the tests keep."""

    name: str
    tags: tuple[str, ...] = ()


NAME: Index[Pet] = Index(1, "name", lambda pet: [pet.name.encode()], unique=True)
TAG: Index[Pet] = Index(2, "tag", lambda pet: [tag.encode() for tag in pet.tags])
PETS = Collection(KIND, Pet, [NAME, TAG])


class House:
    """An engine and plans written to it."""

    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self.plan = self.fresh()

    def fresh(self) -> Plan:
        return Plan(self.engine, now_ms=0, chance=random.Random(1))

    def write(self) -> None:
        batch = self.plan.batch(ProposalId(1, 1, 1), 0)
        self.engine.write(batch.puts, batch.deletes)
        self.plan = self.fresh()


@pytest.fixture
def house() -> House:
    return House()


def test_a_record_is_made_found_changed_and_gone(house: House) -> None:
    plan = house.plan
    with plan.command():
        rex = PETS.create(plan, ALICE, Pet("rex", ("dog", "big")))
        tom = PETS.create(plan, ALICE, Pet("tom", ("cat",)))
    assert (rex, tom) == (1, 2)
    house.write()
    rows = house.engine
    assert PETS.get(rows, ALICE, rex) == Pet("rex", ("dog", "big"))
    assert PETS.find(rows, ALICE, NAME, b"tom") == tom
    assert PETS.find_all(rows, ALICE, TAG, b"dog") == [rex]
    plan = house.plan
    with plan.command():
        PETS.update(plan, ALICE, rex, Pet("max", ("dog", "old")))
        PETS.destroy(plan, ALICE, tom)
    house.write()
    assert PETS.list(rows, ALICE) == [(rex, Pet("max", ("dog", "old")))]
    assert PETS.find(rows, ALICE, NAME, b"rex") is None
    assert PETS.find_all(rows, ALICE, TAG, b"big") == []
    assert PETS.find_all(rows, ALICE, TAG, b"cat") == []
    told = changes.since(rows, ALICE, KIND, 1)
    assert (told.created, told.updated, told.destroyed) == ([], [rex], [tom])


def test_ids_are_never_given_twice(house: House) -> None:
    with house.plan.command():
        PETS.destroy(house.plan, ALICE, PETS.create(house.plan, ALICE, Pet("rex")))
    house.write()
    assert PETS.create(house.plan, ALICE, Pet("rex")) == 2


def test_a_unique_index_holds_one(house: House) -> None:
    plan = house.plan
    PETS.create(plan, ALICE, Pet("rex"))
    PETS.create(plan, AccountId(2), Pet("rex"))
    with pytest.raises(Taken) as taken:
        PETS.create(plan, ALICE, Pet("rex"))
    assert taken.value.holder == 1
    other = PETS.create(plan, ALICE, Pet("tom"))
    with pytest.raises(Taken):
        PETS.update(plan, ALICE, other, Pet("rex"))
    index_keys = [each.key for each in plan.batch(ProposalId(1, 1, 1), 0).expects]
    assert any(b"rex" in key for key in index_keys), "the batch expects the name to be free"


def test_no_change_is_no_version(house: House) -> None:
    with house.plan.command():
        PETS.create(house.plan, ALICE, Pet("rex"))
    house.write()
    PETS.update(house.plan, ALICE, 1, Pet("rex"))
    assert house.plan.empty


def test_what_is_not_there(house: House) -> None:
    assert PETS.get(house.engine, ALICE, 1) is None
    with pytest.raises(Missing):
        PETS.update(house.plan, ALICE, 1, Pet("rex"))
    with pytest.raises(Missing):
        PETS.destroy(house.plan, ALICE, 1)


def test_indexed_strings_do_not_run_into_each_other(house: House) -> None:
    names = ["a", "a\0", "a\0b", "ab", "", "\0", "a\x01"]
    for name in names:
        PETS.create(house.plan, ALICE, Pet(name + "!", (name,)))
    for place, name in enumerate(names, 1):
        assert PETS.find_all(house.plan, ALICE, TAG, name.encode()) == [place], repr(name)


def test_walking_turns_pages(house: House) -> None:
    for number in range(PAGE_RECORDS + 5):
        PETS.create(house.plan, ALICE, Pet(str(number)))
    assert [number for number, _ in PETS.walk(house.plan, ALICE)] == [*range(1, PAGE_RECORDS + 6)]
    assert len(PETS.list(house.plan, ALICE, first=10, limit=3)) == 3


def test_two_indexes_with_one_code_are_a_mistake() -> None:
    with pytest.raises(AssertionError):
        Collection(KIND, Pet, [NAME, NAME])


class PetsModel(RuleBasedStateMachine):
    """Any order of changes, against a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.house = House()
        self.model: dict[int, Pet] = {}

    names = st.sampled_from(["a", "b", "c"])
    tags = st.lists(st.sampled_from(["x", "y"]), max_size=3).map(tuple)

    def taken(self, name: str, but: int = 0) -> bool:
        return any(pet.name == name for number, pet in self.model.items() if number != but)

    @rule(name=names, tags=tags)
    def create(self, name: str, tags: tuple[str, ...]) -> None:
        try:
            with self.house.plan.command():
                number = PETS.create(self.house.plan, ALICE, Pet(name, tags))
        except Taken:
            assert self.taken(name)
        else:
            assert not self.taken(name) and number not in self.model
            self.model[number] = Pet(name, tags)

    @rule(number=st.integers(1, 4), name=names, tags=tags)
    def update(self, number: int, name: str, tags: tuple[str, ...]) -> None:
        try:
            with self.house.plan.command():
                PETS.update(self.house.plan, ALICE, number, Pet(name, tags))
        except Missing:
            assert number not in self.model
        except Taken:
            assert self.taken(name, number)
        else:
            self.model[number] = Pet(name, tags)

    @rule(number=st.integers(1, 4))
    def destroy(self, number: int) -> None:
        try:
            with self.house.plan.command():
                PETS.destroy(self.house.plan, ALICE, number)
        except Missing:
            assert number not in self.model
        else:
            del self.model[number]

    @rule()
    def write(self) -> None:
        self.house.write()

    @invariant()
    def everything_is_found(self) -> None:
        plan = self.house.plan
        assert dict(PETS.list(plan, ALICE)) == self.model
        for name in ("a", "b", "c"):
            held = PETS.find(plan, ALICE, NAME, name.encode())
            assert (held is not None) == self.taken(name)
        for tag in ("x", "y"):
            assert list(PETS.find_all(plan, ALICE, TAG, tag.encode())) == sorted(
                number for number, pet in self.model.items() if tag in pet.tags
            )
        prefix = keys.index_prefix(ALICE, KIND, 0)[:-1]
        rows = sum(1 + len(set(pet.tags)) for pet in self.model.values())
        assert len(plan.scan(prefix, prefix + b"\xff")) == rows, "no index row is left behind"


TestPetsModel = PetsModel.TestCase
TestPetsModel.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
