"""Uploads: streamed, bounded, kept for a while, and no way around a quota."""

import io
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from protocols.http.uploads import SPOOLED_FROM_OCTETS
from protocols.jmap.capabilities import UPLOADS_KEPT, Limits
from protocols.ports import Principal
from storage.due import list_due
from storage.mail.quota import plan_limit
from storage.uploads import UPLOAD_KEPT_MS, plan_expire
from tests.protocols.jmap.desk import Answer, Desk

LARGE = 3 * SPOOLED_FROM_OCTETS + 7


async def upload(desk: Desk, data: Any, **headers: str) -> Answer:
    """One upload to Alice's account."""
    return await desk.http("POST", f"/jmap/upload/{desk.account}/", data, headers=headers)


async def download(desk: Desk, blob: str) -> Answer:
    """One download from it."""
    return await desk.http("GET", f"/jmap/download/{desk.account}/{blob}/x")


async def test_an_upload_may_be_so_large() -> None:
    desk = Desk(limits=Limits(upload_bytes_max=10))
    assert (await upload(desk, b"x" * 10)).status == 201
    for body, headers in (
        (b"x" * 11, {}),
        ([b"x" * 6] * 2, {}),
        (b"", {"content-length": "11"}),
    ):
        answer = await upload(desk, body, **headers)
        assert (answer.status, answer.json["limit"]) == (413, "maxSizeUpload")


async def test_uploads_share_a_room_and_a_gate(autojump_clock: MockClock) -> None:
    desk = Desk(limits=Limits(uploads_max=2, upload_bytes_max=100), uploads_octets_max=100)
    desk.house.stall()
    answers: list[int] = []

    async def send(octets: int) -> None:
        answers.append((await upload(desk, b"x" * octets)).status)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send, 60)
        await trio.testing.wait_all_tasks_blocked()
        answer = await upload(desk, b"y" * 41)  # the room is full
        assert answer.status == 429 and "retry-after" in answer.headers
        nursery.start_soon(send, 40)
        await trio.testing.wait_all_tasks_blocked()
        answer = await upload(desk, b"z")  # two are under way
        assert (answer.status, answer.json["limit"]) == (429, "maxConcurrentUpload")
        nursery.start_soon(send, 0)  # waits, and has its turn
        await trio.testing.wait_all_tasks_blocked()
        desk.house.release()
    assert answers == [201, 201, 201]
    assert (await upload(desk, b"x" * 100)).status == 201


@pytest.mark.parametrize("octets", [0, SPOOLED_FROM_OCTETS, SPOOLED_FROM_OCTETS + 1, LARGE])
async def test_of_any_size_what_goes_up_comes_down(octets: int) -> None:
    desk = Desk()
    data = desk.house.chance.randbytes(octets)
    pieces = [data[at : at + 65_536] for at in range(0, octets, 65_536)]
    told = await upload(desk, pieces or b"")
    assert (told.status, told.json["size"]) == (201, octets)
    assert (await download(desk, told.json["blobId"])).body == data
    assert desk.house.spooled == 0


async def test_a_large_one_lies_on_disk_until_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    pieces = [b"x" * SPOOLED_FROM_OCTETS] * 3
    held: list[int] = []
    carry = desk.house.writer.carry

    async def look(*more: Any) -> None:
        held.append(desk.house.spooled)
        await carry(*more)

    monkeypatch.setattr(desk.house.writer, "carry", look)
    assert (await upload(desk, pieces)).status == 201
    assert (held, desk.house.spooled) == ([1], 0)
    desk.house.unavailable = True
    monkeypatch.setattr(desk.house.auth, "password", _alice(desk))
    assert (await upload(desk, pieces)).status == 503
    assert desk.house.spooled == 0


def _alice(desk: Desk) -> Any:
    async def password(*_: object, **__: object) -> Any:
        return Principal(desk.number, "alice@example.org")

    return password


async def test_spools_share_a_disk() -> None:
    desk = Desk(spooled_octets_max=LARGE)
    assert (await upload(desk, b"x" * LARGE)).status == 201
    answer = await upload(desk, b"x" * (LARGE + 1))
    assert answer.status == 429 and desk.house.spooled == 0
    assert (await upload(desk, b"x" * LARGE)).status == 201


async def test_a_disk_that_takes_no_more_is_no_answer_now() -> None:
    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError("No space left on device")

    desk = Desk()
    object.__setattr__(desk.house.ports, "spool", Full)
    assert (await upload(desk, b"x" * LARGE)).status == 503


async def test_over_quota() -> None:
    desk = Desk()
    desk.house.run(lambda plan: plan_limit(plan, desk.number, 1_000))
    assert (await upload(desk, b"x" * 1_000)).status == 201
    for headers in ({}, {"content-length": "1001"}):
        answer = await upload(desk, b"x" * 1_001, **headers)
        assert answer.status == 413
        assert answer.json["type"] == "urn:ietf:params:jmap:error:overQuota"


async def test_an_upload_is_gone_after_its_time() -> None:
    desk = Desk()
    blob = (await upload(desk, b"x")).json["blobId"]
    desk.house.clock.pass_s(UPLOAD_KEPT_MS / 1000)
    ((due, _),) = list_due(desk.house.engine, desk.house.clock.now_ms(), limit=10)
    desk.house.run(lambda plan: plan_expire(plan, due))
    assert (await download(desk, blob)).status == 404


async def test_the_oldest_go_when_there_are_too_many() -> None:
    desk = Desk(limits=Limits(upload_bytes_max=10))
    blobs = []
    for number in range(UPLOADS_KEPT + 1):
        blobs.append((await upload(desk, b"%010d" % number)).json["blobId"])
        desk.house.clock.pass_s(1)
    found = [(await download(desk, blob)).status for blob in blobs]
    assert found == [404] + [200] * UPLOADS_KEPT
