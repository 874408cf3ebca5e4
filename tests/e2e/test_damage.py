"""Nodes stopped or killed, their files damaged, and started again.

What may follow is one of two: the node starts, rejoins and holds the same messages under the same
UIDs as the others, nothing acknowledged lost; or it refuses with one sentence that says where and
what to do. Never a traceback, never other data.
"""

import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from raft.segment import BLOCK_BYTES
from tests.e2e.chaos import Deliverer, numbered, violations
from tests.e2e.cluster import RealCluster, ready, running
from tests.e2e.waiting import until
from tests.e2e.wellness import complaints, deliver

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("e2e")]

# For a node that was away to catch up.
LEVEL_S_MAX: Final = 15.0
STARTED: Final = 'event="node started"'
BODY: Final = b"x" * 3000 + b"\r\n"


class Ward:
    """A cluster whose nodes are hurt, and the numbers of the messages it has accepted."""

    def __init__(self, cluster: RealCluster) -> None:
        self.cluster = cluster
        self.accepted: set[int] = set()
        self.next = 1

    def deliver(self, count: int, *names: str) -> None:
        """That many messages, each accepted, by these nodes in turn (all when none is named)."""
        nodes = [self.cluster.node(name) for name in names] or self.cluster.nodes
        for turn in range(count):
            number, self.next = self.next, self.next + 1
            reply = deliver(nodes[turn % len(nodes)], numbered(number) + BODY)
            assert reply.startswith(b"250"), reply
            self.accepted.add(number)

    def data(self, name: str) -> Path:
        return self.cluster.directory / "var" / name

    def log(self, name: str) -> str:
        return (self.cluster.directory / f"{name}.log").read_text(errors="replace")

    def restart(self, name: str, hurt: Callable[[Path], None]) -> None:
        """Kill, damage, start, and wait until it is back."""
        self.cluster.kill(name)
        hurt(self.data(name))
        self.cluster.start(name)
        self.cluster.wait_ready(name, timeout_s=20)

    def refused(self, name: str, timeout_s: float = 15) -> str:
        """Start it and see it end with one sentence, which is returned."""
        before = len(self.log(name))
        self.cluster.start(name)
        process = self.cluster.node(name).process
        assert process is not None
        assert process.wait(timeout_s) == 1
        said = [line for line in self.log(name)[before:].splitlines() if "level=" not in line]
        assert len(said) == 1 and said[0].startswith("trireme: "), said
        return said[0]

    def check(self) -> None:
        """All nodes hold the same, and all of it, soon; no log has a traceback."""
        deadline = time.monotonic() + LEVEL_S_MAX
        while (wrong := violations(self.cluster, self.accepted)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert wrong == [], self.cluster.logs()
        assert [line for line in complaints(self.cluster) if "Traceback" in line] == []


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    with running(tmp_path_factory.mktemp("damage"), 3) as cluster:
        ward = Ward(cluster)
        ward.deliver(30)
        yield ward


def segments(data: Path) -> list[Path]:
    return sorted((data / "raft").glob("*.wal"))


def last_used_block(path: Path) -> int:
    """The last block of a segment that anything was written to: the seal, after a whole flush."""
    content = path.read_bytes().rstrip(b"\0")
    return (len(content) - 1) // BLOCK_BYTES * BLOCK_BYTES


def cut(blocks: int, octets: int = 0) -> Callable[[Path], None]:
    """The newest segment ends so many blocks and octets before its last used block."""

    def hurt(data: Path) -> None:
        path = segments(data)[-1]
        with path.open("r+b") as file:
            file.truncate(max(BLOCK_BYTES, last_used_block(path) - blocks * BLOCK_BYTES - octets))

    return hurt


def overwrite(first: int, count: int, fill: Callable[[int], bytes]) -> Callable[[Path], None]:
    """Blocks of the newest segment, counted back from the last used one, are filled anew."""

    def hurt(data: Path) -> None:
        path = segments(data)[-1]
        at = max(BLOCK_BYTES, last_used_block(path) - first * BLOCK_BYTES)
        with path.open("r+b") as file:
            file.seek(at)
            file.write(fill(count * BLOCK_BYTES))

    return hurt


CHANCE: Final = random.Random(11)
TAILS: Final[dict[str, Callable[[Path], None]]] = {
    "cut before the seal": cut(0),
    "cut within the last flush": cut(0, 100),
    "cut four blocks and a bit before": cut(4, 1234),
    "seal zeroed": overwrite(0, 1, bytes),
    "last flush garbled, its seal too": overwrite(1, 2, CHANCE.randbytes),
    "last flush zeroed, its seal too": overwrite(1, 2, bytes),
    "last flush garbled": overwrite(1, 1, CHANCE.randbytes),
}


@pytest.mark.parametrize("name", TAILS)
def test_a_log_with_a_damaged_end_rejoins(ward: Ward, name: str) -> None:
    victim = pick(ward, "leader" if list(TAILS).index(name) % 2 else "follower")
    ward.deliver(2)
    ward.restart(victim, TAILS[name])
    ward.deliver(2, victim)
    ward.check()


def pick(ward: Ward, role: str) -> str:
    leader = ward.cluster.leader()
    assert leader is not None
    return next(n.name for n in ward.cluster.nodes if (n.name == leader) == (role == "leader"))


def test_what_one_log_lost_is_not_outvoted(tmp_path: Path) -> None:
    """n1 and n2 accept while n3 is down; n2's log loses its end; without n1, n2 and n3 are a
    majority, and must not agree on a history without what n1 and n2 had promised."""
    with running(tmp_path, 3) as cluster:
        ward = Ward(cluster)
        ward.deliver(5)
        ward.check()
        cluster.kill("n3")
        ward.deliver(5, "n1", "n2")
        cluster.kill("n1")
        cluster.kill("n2")
        cut(6)(ward.data("n2"))
        said = {name: len(ward.log(name)) for name in ("n2", "n3")}
        cluster.start("n2", "n3")
        assert until(lambda: all(STARTED in ward.log(name)[said[name] :] for name in said), 20)
        time.sleep(2)  # many election timeouts
        assert not any(ready(node) for node in cluster.nodes), "a majority that forgot elected"
        cluster.start("n1")
        cluster.wait_ready(timeout_s=30)
        ward.deliver(3)
        ward.check()


# --- everything else that is on the disk


def garble(pattern: str) -> Callable[[Path], None]:
    """Every file of this pattern has its middle overwritten."""

    def hurt(data: Path) -> None:
        found = sorted(data.glob(pattern))
        assert found, f"no {pattern}"
        for path in found:
            size = path.stat().st_size
            with path.open("r+b") as file:
                file.seek(size // 3)
                file.write(CHANCE.randbytes(max(16, min(size // 3, 4096))))

    return hurt


def empty(pattern: str) -> Callable[[Path], None]:
    def hurt(data: Path) -> None:
        for path in data.glob(pattern):
            path.write_bytes(b"")

    return hurt


def cut_blobs(data: Path) -> None:
    path = sorted((data / "state" / "blobs").glob("*.blobs"))[-1]
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def remove(pattern: str) -> Callable[[Path], None]:
    def hurt(data: Path) -> None:
        for path in data.glob(pattern):
            path.unlink()

    return hurt


def leave_rubbish(data: Path) -> None:
    """What an interrupted start or a curious operator leaves behind."""
    (data / "raft" / "spare-99.tmp").write_bytes(b"half a segment")
    (data / "incarnation.new").write_text("12")
    (data / "disk-id.new").write_text("zz")
    (data / "admin.sock").unlink(missing_ok=True)
    (data / "admin.sock").write_text("not a socket")


FILES: Final[dict[str, Callable[[Path], None]]] = {
    "rows: CURRENT": garble("state/rows/CURRENT"),
    "rows: MANIFEST": garble("state/rows/MANIFEST-*"),
    "rows: log": garble("state/rows/*.log"),
    "rows: log empty": empty("state/rows/*.log"),
    "rows: all gone": lambda data: shutil.rmtree(data / "state" / "rows"),
    "rows and blobs gone": lambda data: shutil.rmtree(data / "state"),
    "blobs: tail cut": cut_blobs,
    "spare segments gone": remove("raft/*.tmp"),
    "incarnation": garble("incarnation"),
    "rubbish": leave_rubbish,
}


@pytest.mark.parametrize("name", FILES)
def test_a_node_with_damaged_files_rejoins(ward: Ward, name: str) -> None:
    ward.deliver(2)
    ward.restart("n2", FILES[name])
    ward.deliver(2, "n2")
    ward.check()


def test_tables_that_were_garbled_are_rebuilt(ward: Ward) -> None:
    """An orderly stop and a start leave rows in tables; reads find what is wrong in them."""
    for _ in range(2):
        ward.cluster.kill("n3", 15)
        ward.cluster.start("n3")
        ward.cluster.wait_ready("n3")
    ward.cluster.kill("n3", 15)
    garble("state/rows/*.ldb")(ward.data("n3"))
    ward.cluster.start("n3")
    ward.cluster.wait_ready("n3", timeout_s=20)
    ward.deliver(2, "n1")
    ward.check()


def flip(octets: int) -> Callable[[Path], None]:
    """So many octets of the log's directory, anywhere in what was written, are changed."""

    def hurt(data: Path) -> None:
        used = {path: len(path.read_bytes().rstrip(b"\0")) for path in segments(data)}
        chosen = CHANCE.choices(list(used), list(used.values()), k=octets)
        for path in chosen:
            with path.open("r+b") as file:
                file.seek(at := CHANCE.randrange(used[path]))
                (octet,) = file.read(1)
                file.seek(at)
                file.write(bytes([octet ^ CHANCE.randrange(1, 256)]))

    return hurt


def garble_headers(data: Path) -> None:
    """Both copies, in all segments but the newest."""
    for path in segments(data)[:-1]:
        with path.open("r+b") as file:
            file.write(CHANCE.randbytes(BLOCK_BYTES))


MIDDLES: Final[dict[str, Callable[[Path], None]]] = {
    "one octet": flip(1),
    "a hundred octets": flip(100),
    "headers of segments": garble_headers,
    "a segment is gone": lambda data: segments(data)[0].unlink(),
}


@pytest.mark.parametrize("name", MIDDLES)
def test_a_log_damaged_in_its_middle_is_mended_by_the_others(ward: Ward, name: str) -> None:
    victim = pick(ward, "leader" if name == "a hundred octets" else "follower")
    ward.cluster.kill(victim)
    ward.cluster.start(victim)  # so that there are several segments
    ward.cluster.wait_ready(victim)
    ward.deliver(4)
    ward.restart(victim, MIDDLES[name])
    ward.deliver(2, victim)
    ward.check()


def test_two_logs_damaged_in_different_places_mend_each_other(tmp_path: Path) -> None:
    """The third is down: neither could lead, nor could both of them, before they are whole."""
    with running(tmp_path, 3) as cluster:
        ward = Ward(cluster)
        ward.deliver(6)
        ward.check()
        for name in ("n1", "n2", "n3"):
            cluster.kill(name)
        for name, place in (("n1", 0.2), ("n2", 0.7)):
            path = segments(ward.data(name))[0]
            used = last_used_block(path) // BLOCK_BYTES
            with path.open("r+b") as file:
                file.seek(max(2, int(used * place)) * BLOCK_BYTES + 50)
                file.write(b"\xee" * 40)
        cluster.start("n1", "n2")
        cluster.wait_ready("n1")
        cluster.wait_ready("n2")
        assert all("mended" in ward.log(name) for name in ("n1", "n2"))
        ward.deliver(3, "n1", "n2")
        cluster.start("n3")
        cluster.wait_ready("n3")
        ward.check()


def test_a_lone_nodes_damaged_log_is_refused_with_its_place(tmp_path: Path) -> None:
    with running(tmp_path, 1) as cluster:
        ward = Ward(cluster)
        ward.deliver(3)
        cluster.kill("n1")
        path = segments(ward.data("n1"))[0]
        with path.open("r+b") as file:
            file.seek(2 * BLOCK_BYTES + 50)
            file.write(b"\xee" * 40)
        said = ward.refused("n1")
        assert path.name in said and "offset" in said and "put back an undamaged copy" in said


def test_another_nodes_disk_is_refused(ward: Ward) -> None:
    ward.cluster.kill("n1")
    ward.cluster.kill("n2")
    n1, n2 = ward.data("n1"), ward.data("n2")
    n2.rename(n2.with_name("kept"))
    shutil.copytree(n1, n2, ignore=shutil.ignore_patterns("*.sock"))
    said = ward.refused("n2")
    assert "belongs to replica" in said and "give each node its own data directory" in said
    shutil.rmtree(n2)
    n2.with_name("kept").rename(n2)
    ward.cluster.start("n1", "n2")
    ward.cluster.wait_ready()
    ward.check()


def test_a_disk_that_has_forgotten_is_refused(ward: Ward) -> None:
    ward.cluster.kill("n2")
    n2 = ward.data("n2")
    n2.rename(n2.with_name("kept"))
    said = ward.refused("n2")
    assert "knows n2 by another disk" in said and "bring that one back" in said
    shutil.rmtree(n2)
    n2.with_name("kept").rename(n2)
    mark = (n2 / "disk-id").read_bytes()
    (n2 / "disk-id").write_bytes(b"\xff\xfe")
    assert "disk-id: is not a disk id: restore it" in ward.refused("n2")
    (n2 / "disk-id").write_bytes(mark)
    (n2 / "raft").rename(n2 / "kept")
    shutil.move(n2 / "state", n2 / "kept-state")
    assert "knows n2 by another disk" in ward.refused("n2")  # it has forgotten all the same
    for name, kept in (("raft", "kept"), ("state", "kept-state")):
        shutil.rmtree(n2 / name)
        (n2 / kept).rename(n2 / name)
    (n2 / "disk-id").unlink()  # with its log there it has forgotten nothing
    ward.cluster.start("n2")
    ward.cluster.wait_ready("n2")
    ward.check()


def test_all_killed_at_once_under_load_three_times(ward: Ward) -> None:
    cluster = ward.cluster
    deliverer = Deliverer(cluster, seed=3)
    deliverer.tried = first = 1_000_000  # its numbers are not ours
    deliverer.start()
    for _ in range(3):
        assert deliverer.wait_for_more(20, 30)
        for node in cluster.nodes:
            assert node.process is not None
            node.process.kill()
        for node in cluster.nodes:
            assert node.process is not None
            node.process.wait()
        cluster.start()
        cluster.wait_ready()
    assert deliverer.wait_for_more(5, 30)
    deliverer.ended.set()
    deliverer.join()
    ward.accepted |= set(deliverer.acknowledged)
    print(
        f"{len(deliverer.acknowledged)} of {deliverer.tried - first} accepted through three deaths"
    )
    ward.check()
