"""Cyrus IMAP with JMAP on loopback: what our JMAP is compared with.

It comes from Debian's cyrus-imapd, cyrus-caldav (whose httpd speaks JMAP) and sasl2-bin; without
them there is nothing to compare with, and the bench says so. It starts as root, as it must to
become the user cyrus, with all its files in a directory of its own.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.bench.clients import Jmap, Lmtp
from tests.e2e.cluster import free_ports

PROGRAMS: Final = Path("/usr/lib/cyrus/bin")
USER: Final = "alice"
PASSWORD: Final = "alice-demo"
SESSION: Final = "/jmap/"
READY_S: Final = 30.0
STOP_S: Final = 20.0

_IMAPD_CONF: Final = """\
configdirectory: {place}/conf
defaultpartition: default
partition-default: {place}/mail
proc_path: {place}/proc
lmtpsocket: {place}/lmtp
cyrus_user: cyrus
servername: localhost
allowplaintext: yes
sasl_mech_list: PLAIN
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {place}/sasldb2
httpmodules: jmap
conversations: yes
altnamespace: yes
unixhierarchysep: yes
autocreate_post: yes
autocreate_quota: 0
"""
_CYRUS_CONF: Final = """\
START {{
  recover cmd="{programs}/ctl_cyrusdb -C {place}/imapd.conf -r"
}}
SERVICES {{
  http cmd="{programs}/httpd -C {place}/imapd.conf" listen="127.0.0.1:{http}"
  lmtp cmd="{programs}/lmtpd -C {place}/imapd.conf -a" listen="127.0.0.1:{lmtp}"
}}
EVENTS {{
}}
"""


def is_here() -> bool:
    """Whether this machine has Cyrus, and we may start it."""
    programs = ("master", "httpd", "lmtpd")
    found = all((PROGRAMS / name).is_file() for name in programs) and shutil.which("saslpasswd2")
    return bool(found) and os.geteuid() == 0


class Cyrus:
    """A running one."""

    def __init__(self, master: int, http: int, lmtp: int) -> None:
        self._master = master
        self._http = http
        self._lmtp = lmtp

    def jmap(self) -> Jmap:
        """A connection of Alice's."""
        return Jmap(("127.0.0.1", self._http), USER, PASSWORD, session=SESSION)

    def deliver(self, messages: Iterator[bytes]) -> None:
        """Into Alice's inbox, which the first one makes."""
        line = Lmtp(("127.0.0.1", self._lmtp))
        for message in messages:
            reply = line.deliver(message, USER)
            assert reply.startswith(b"250"), reply
        line.close()

    def pids(self) -> list[int]:
        """The master and whoever serves a connection now."""
        found = [self._master]
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if int(path.read_text().rpartition(")")[2].split()[1]) == self._master:
                    found.append(int(path.parent.name))
        return found


@contextlib.contextmanager
def running(place: Path) -> Iterator[Cyrus]:
    """Cyrus with one user, in this directory."""
    http, lmtp = free_ports(2)
    place.chmod(0o755)
    for name in ("conf", "mail", "proc"):
        (place / name).mkdir()
    values = {"place": place, "programs": PROGRAMS, "http": http, "lmtp": lmtp}
    (place / "imapd.conf").write_text(_IMAPD_CONF.format_map(values))
    (place / "cyrus.conf").write_text(_CYRUS_CONF.format_map(values))
    subprocess.run(
        ["saslpasswd2", "-p", "-c", "-f", str(place / "sasldb2"), "-u", "localhost", USER],
        input=PASSWORD.encode(),
        check=True,
    )
    subprocess.run(["chown", "-R", "cyrus:mail", str(place)], check=True)
    with (place / "cyrus.log").open("ab") as log:
        master = subprocess.Popen(
            [
                *(str(PROGRAMS / "master"), "-C", str(place / "imapd.conf")),
                *("-M", str(place / "cyrus.conf"), "-p", str(place / "conf" / "pid")),
            ],
            stdout=log,
            stderr=log,
        )
    cyrus = Cyrus(master.pid, http, lmtp)
    try:
        _wait_lmtp(lmtp)
        yield cyrus
    finally:
        # Whoever serves a connection that is still open does not end when it is asked to.
        for pid in cyrus.pids()[::-1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        master.wait(STOP_S)


def _wait_lmtp(port: int) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        try:
            Lmtp(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
