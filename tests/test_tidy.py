"""The house rules that no linter knows: sizes, docstrings, banned words and banned calls."""

import ast
import re
from pathlib import Path

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


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions and methods, nested ones too."""
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_source_file_fits_on_a_few_screens(path: Path) -> None:
    lines = path.read_text().count("\n")
    assert lines <= FILE_LINES_MAX, f"{named(path)} has {lines} lines"


@pytest.mark.parametrize("path", EVERYTHING, ids=named)
def test_a_function_fits_on_one_screen(path: Path) -> None:
    most = FUNCTION_LINES_MAX if path in SOURCES else TEST_FUNCTION_LINES_MAX
    for function in functions(ast.parse(path.read_text())):
        size = (function.end_lineno or function.lineno) - function.lineno + 1
        assert size <= most, f"{named(path)}:{function.lineno} {function.name} has {size} lines"


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_public_things_say_what_they_are(path: Path) -> None:
    tree = ast.parse(path.read_text())
    if path.name != "__init__.py" or tree.body:
        assert ast.get_docstring(tree), f"{named(path)} opens without saying what it is for"
    for node in tree.body:
        is_definition = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if is_definition and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{named(path)}:{node.lineno} {node.name}"


@pytest.mark.parametrize("path", EVERYTHING, ids=named)
def test_names_say_something(path: Path) -> None:
    assert not BANNED_NAMES.search(path.stem), named(path)


@pytest.mark.parametrize("path", EVERYTHING, ids=named)
def test_nothing_is_left_unfinished(path: Path) -> None:
    if path.name == "test_tidy.py":
        return
    for number, line in enumerate(path.read_text().splitlines(), 1):
        assert not UNFINISHED.search(line), f"{named(path)}:{number} {line.strip()}"


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_time_and_chance_come_in_through_ports(path: Path) -> None:
    if named(path) in CLOCKS or named(path).startswith("node/cli/"):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in BANNED_CALLS, f"{named(path)}:{node.lineno} calls {called}"


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_imports_stand_at_the_top(path: Path) -> None:
    """No import hides in a function, but in the command line, which starts faster so."""
    if named(path).startswith("node/cli/"):
        return
    tree = ast.parse(path.read_text())
    for function in functions(tree):
        for node in ast.walk(function):
            assert not isinstance(node, ast.Import | ast.ImportFrom), (
                f"{named(path)}:{node.lineno} imports inside {function.name}"
            )


def test_no_room_is_empty() -> None:
    for room in ROOMS:
        assert len(sources(room)) > 3, room
