"""The live tree shows every task under its parent, and the line of ours it waits at."""

import trio
import trio.testing

from node.tree import render, snapshot


async def wait_for_mail() -> None:
    await trio.sleep_forever()


async def test_tasks_and_what_they_wait_for_are_shown() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_for_mail, name="door-1")
        nursery.start_soon(wait_for_mail, name="door-1")
        nursery.start_soon(wait_for_mail, name="other")
        await trio.testing.wait_all_tasks_blocked()
        lines = render(snapshot(trio.lowlevel.current_task()))
        nursery.cancel_scope.cancel()
    assert len(lines) == 3
    assert "door-1 x2" in lines[1] and "wait_for_mail" in lines[1]
    assert lines[2].startswith("  other")
