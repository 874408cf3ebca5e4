"""The cluster secret is made once, kept private, and refused when it is not."""

from pathlib import Path

import pytest

from node import config
from node.secret import SECRET_BYTES, ensure_secret, read_secret

FILE = '[cluster]\nname = "x"\n{}[[node]]\nname = "n1"\nhost = "{}"\npeer = 1\n'


def cluster(tmp_path: Path, extra: str = "", host: str = "127.0.0.1") -> config.Config:
    return config.parse(FILE.format(extra, host), tmp_path / "cluster.toml")


def test_a_cluster_on_one_machine_makes_its_own_once(tmp_path: Path) -> None:
    one = cluster(tmp_path)
    ensure_secret(one)
    first = read_secret(one)
    ensure_secret(one)
    assert read_secret(one) == first and len(first) == 2 * SECRET_BYTES
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["cluster.key"]


def test_a_given_secret_is_never_made_up(tmp_path: Path) -> None:
    given = cluster(tmp_path, 'secret-file = "k"\n', "192.0.2.1")
    ensure_secret(given)
    with pytest.raises(config.ConfigError, match="copy it here"):
        read_secret(given)


def test_a_secret_open_to_others_or_too_short_is_refused(tmp_path: Path) -> None:
    one = cluster(tmp_path)
    ensure_secret(one)
    one.secret_path.chmod(0o640)
    with pytest.raises(config.ConfigError, match="chmod 600"):
        read_secret(one)
    one.secret_path.chmod(0o600)
    one.secret_path.write_text("short")
    with pytest.raises(config.ConfigError, match="this has 5"):
        read_secret(one)
