"""The crowd of `make bench`: messages that every filter divides, and the row that costs most."""

from tests.bench.crowd import APPENDED, CONDITIONS, Row, slowest, small


def test_flags_dates_and_sizes_divide_the_crowd() -> None:
    sizes, flagged = set(), 0
    for number in range(1000):
        told, message = small(number)
        sizes.add(len(message))
        flagged += b"Flagged" in told
        assert b"\r\n\r\n" in message and b"-%d@" % number in message
    low, high = CONDITIONS["size"]["minSize"], CONDITIONS["size"]["maxSize"]
    assert min(sizes) < low < high < max(sizes)
    assert flagged == 100
    assert small(0)[0] == b' (\\Flagged) "01-Mar-2026 00:00:00 +0000"'
    assert len({small(number)[0] for number in range(APPENDED)}) > 28


def test_the_slowest_is_by_what_it_costs() -> None:
    rows: list[Row] = [{"rate": 1.0, "cpu_ms": 2.0}, {"rate": 9.0, "cpu_ms": 8.0}]
    assert slowest(rows) is rows[1]
