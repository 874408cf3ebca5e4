"""The house rules that no linter knows: sizes, docstrings, banned words and banned calls."""

import ast
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("node", "protocols", "storage", "raft", "gossip")
FILE_LINES_MAX = 450
FUNCTION_LINES_MAX = 70
TEST_FUNCTION_LINES_MAX = 120

# Only these draw time or chance for everybody else; the rest is given both (architecture.md).
CLOCKS = {"node/clock.py", "node/logs.py", "node/house.py", "node/secret.py"}
BANNED_CALLS = {
    "time.time",
    "time.monotonic",
    "time.perf_counter",
    "datetime.now",
    "datetime.utcnow",
    "uuid.uuid4",
    "os.urandom",
    "secrets.token_bytes",
    "secrets.token_hex",
    "random.random",
    "random.randrange",
    "random.choice",
    "random.seed",
}
BANNED_NAMES = re.compile(r"(^|_)(utils?|helpers?|common|manager|misc)(_|$)")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError")


def sources(*rooms: str) -> list[Path]:
    """Every Python file of these rooms, in order."""
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))


def named(path: Path) -> str:
    """The path as people say it."""
    return path.relative_to(ROOT).as_posix()


SOURCES = sources(*ROOMS)
EVERYTHING = sources(*ROOMS, "tests", "fuzz")


Function = ast.FunctionDef | ast.AsyncFunctionDef
Rule = Callable[[Path, str, ast.Module], Iterator[str]]


def functions(tree: ast.AST) -> list[Function]:
    """All functions and methods, nested ones too."""
    return [n for n in ast.walk(tree) if isinstance(n, Function)]


def fits_on_a_few_screens(path: Path, text: str, tree: ast.Module) -> Iterator[str]:
    lines = text.count("\n")
    if lines > FILE_LINES_MAX:
        yield f"{named(path)} has {lines} lines"


def has_functions_that_fit_on_one_screen(path: Path, text: str, tree: ast.Module) -> Iterator[str]:
    most = FUNCTION_LINES_MAX if path in SOURCES else TEST_FUNCTION_LINES_MAX
    for function in functions(tree):
        size = (function.end_lineno or function.lineno) - function.lineno + 1
        if size > most:
            yield f"{named(path)}:{function.lineno} {function.name} has {size} lines"


def says_what_its_public_things_are(path: Path, text: str, tree: ast.Module) -> Iterator[str]:
    if (path.name != "__init__.py" or tree.body) and not ast.get_docstring(tree):
        yield f"{named(path)} opens without saying what it is for"
    for node in tree.body:
        is_public = isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_")
        if is_public and not ast.get_docstring(node):
            yield f"{named(path)}:{node.lineno} {node.name}"


def has_a_name_that_says_something(path: Path, text: str, tree: ast.Module) -> Iterator[str]:
    if BANNED_NAMES.search(path.stem):
        yield named(path)


def leaves_nothing_unfinished(path: Path, text: str, tree: ast.Module) -> Iterator[str]:
    if path.name != "test_tidy.py":
        for number, line in enumerate(text.splitlines(), 1):
            if UNFINISHED.search(line):
                yield f"{named(path)}:{number} {line.strip()}"


def is_given_time_and_chance(path: Path, text: str, tree: ast.Module) -> Iterator[str]:
    if named(path) in CLOCKS or named(path).startswith("node/cli/"):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (called := ast.unparse(node.func)) in BANNED_CALLS:
            yield f"{named(path)}:{node.lineno} calls {called}"


def imports_at_the_top(path: Path, text: str, tree: ast.Module) -> Iterator[str]:
    """No import hides in a function, but in the command line, which starts faster so."""
    if named(path).startswith("node/cli/"):
        return
    for function in functions(tree):
        for node in ast.walk(function):
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield f"{named(path)}:{node.lineno} imports inside {function.name}"


OF_SOURCES: Final[tuple[Rule, ...]] = (
    fits_on_a_few_screens,
    says_what_its_public_things_are,
    is_given_time_and_chance,
    imports_at_the_top,
)
OF_EVERYTHING: Final[tuple[Rule, ...]] = (
    has_functions_that_fit_on_one_screen,
    has_a_name_that_says_something,
    leaves_nothing_unfinished,
)


@cache
def offences() -> dict[Rule, list[str]]:
    """What breaks each rule; every file is read and parsed once for all of them."""
    found: dict[Rule, list[str]] = defaultdict(list)
    held = set(SOURCES)
    for path in EVERYTHING:
        text = path.read_text()
        tree = ast.parse(text)
        for rule in OF_EVERYTHING + (OF_SOURCES if path in held else ()):
            found[rule] += rule(path, text, tree)
    return found


@pytest.mark.parametrize("rule", OF_SOURCES + OF_EVERYTHING, ids=lambda rule: rule.__name__)
def test_every_file_keeps_the_rule(rule: Rule) -> None:
    assert offences()[rule] == []


def test_no_room_is_empty() -> None:
    for room in ROOMS:
        assert len(sources(room)) > 3, room
