"""The live nursery tree: every task, and the line it waits at. What `trireme tree` prints."""

from collections.abc import Mapping
from types import CoroutineType, FrameType, GeneratorType
from typing import Any, Final

import msgspec
import trio

TASKS_MAX: Final = 5_000
DEPTH_MAX: Final = 64


class TaskNode(msgspec.Struct):
    """One task: its name, where it waits as `file:line function`, and the tasks under it."""

    name: str
    waits: str
    children: list["TaskNode"]


def _frame(awaited: object) -> tuple[FrameType | None, object]:
    """The frame of one link of an await chain, and the next link."""
    if isinstance(awaited, CoroutineType):
        return awaited.cr_frame, awaited.cr_await
    if isinstance(awaited, GeneratorType):
        return awaited.gi_frame, awaited.gi_yieldfrom
    return getattr(awaited, "ag_frame", None), getattr(awaited, "ag_await", None)


def _waits(task: trio.lowlevel.Task) -> str:
    """The innermost line of ours in the chain of awaits of a task, else trio's own function."""
    place, trio_place, depth = "running", "", 0
    current: object = task.coro
    while current is not None and depth < DEPTH_MAX:
        frame, current = _frame(current)
        depth += 1
        if frame is None:
            continue
        if "/trio/" in frame.f_code.co_filename:
            trio_place = f"trio {frame.f_code.co_name}"
        else:
            file = "/".join(frame.f_code.co_filename.rsplit("/", 2)[-2:])
            place = f"{file}:{frame.f_lineno} {frame.f_code.co_name}"
    return trio_place if place == "running" and trio_place else place


def _node(task: trio.lowlevel.Task) -> TaskNode:
    return TaskNode(task.name, _waits(task), [])


def snapshot(root: trio.lowlevel.Task | None = None) -> TaskNode:
    """The tree below `root` (the main task when None), cut at TASKS_MAX tasks."""
    top = root or trio.lowlevel.current_root_task()
    assert top is not None, "asked outside of a run"
    left = TASKS_MAX

    tree = _node(top)
    queue: list[tuple[trio.lowlevel.Task, TaskNode]] = [(top, tree)]
    while queue and left > 0:
        task, node = queue.pop(0)
        for nursery in task.child_nurseries:
            # Nursery.child_tasks is a set: sorted by name so that two looks read alike.
            for child in sorted(nursery.child_tasks, key=lambda child: (child.name, id(child))):
                left -= 1
                below = _node(child)
                node.children.append(below)
                queue.append((child, below))
    return tree


def render(tree: TaskNode) -> list[str]:
    """The tree as indented lines; equal leaves of one parent are counted on one line."""
    lines: list[str] = []
    stack: list[tuple[TaskNode, int, int]] = [(tree, 0, 1)]
    while stack:
        node, depth, count = stack.pop()
        times = f" x{count}" if count > 1 else ""
        lines.append(f"{'  ' * depth}{node.name}{times}  ({node.waits})")
        grouped: dict[tuple[str, str], list[TaskNode]] = {}
        for child in node.children:
            key = (child.name, child.waits if not child.children else f"#{id(child)}")
            grouped.setdefault(key, []).append(child)
        stack.extend((group[0], depth + 1, len(group)) for group in reversed(grouped.values()))
    return lines


async def answer(args: Mapping[str, Any]) -> Any:
    """What an operator gets: the tree, and the lines of it."""
    tree = snapshot()
    return {"tree": msgspec.to_builtins(tree), "lines": render(tree)}
