"""Cyrus IMAP with JMAP on loopback: what our JMAP, IMAP and LMTP are compared with.

It comes from Debian's cyrus-imapd, cyrus-caldav (whose httpd speaks JMAP) and sasl2-bin; without
them there is nothing to compare with, and the bench says so. It starts as root, as it must to
become the user cyrus, with all its files in a directory of its own.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.bench.clients import Jmap
from tests.bench.servers import PASSWORD, USERS, Peer, end, user, wait_lmtp
from tests.e2e.cluster import free_ports

PROGRAMS: Final = Path("/usr/lib/cyrus/bin")
SESSION: Final = "/jmap/"

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
conversations_max_guidinfolder: 1000
conversations_max_guidexists: 1000
idlesocket: {place}/idle
imapidlepoll: 60
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
  imap cmd="{programs}/imapd -C {place}/imapd.conf" listen="127.0.0.1:{imap}" maxchild=-1
  http cmd="{programs}/httpd -C {place}/imapd.conf" listen="127.0.0.1:{http}"
  lmtp cmd="{programs}/lmtpd -C {place}/imapd.conf -a" listen="127.0.0.1:{lmtp}"
}}
EVENTS {{
}}
DAEMON {{
  idled cmd="{programs}/idled -C {place}/imapd.conf"
}}
"""


def is_here() -> bool:
    """Whether this machine has Cyrus, and we may start it."""
    programs = ("master", "httpd", "imapd", "lmtpd", "idled")
    found = all((PROGRAMS / name).is_file() for name in programs) and shutil.which("saslpasswd2")
    return bool(found) and os.geteuid() == 0


class Cyrus(Peer):
    """A running one; as one of `servers.Server`, and with JMAP."""

    name: Final = "Cyrus"

    def __init__(self, master: int, *, http: int, imap: int, lmtp: int) -> None:
        super().__init__(master, imap=imap, lmtp=lmtp)
        self._http = http

    def jmap(self) -> Jmap:
        """A connection of Alice's."""
        return Jmap(("127.0.0.1", self._http), user(0), PASSWORD, session=SESSION)


@contextlib.contextmanager
def running(place: Path) -> Iterator[Cyrus]:
    """Cyrus in this directory."""
    http, imap, lmtp = free_ports(3)
    place.chmod(0o755)
    # Who idles is told by way of conf/socket.
    for name in ("conf", "conf/socket", "mail", "proc"):
        (place / name).mkdir()
    ports = {"http": http, "imap": imap, "lmtp": lmtp}
    values = {"place": place, "programs": PROGRAMS} | ports
    (place / "imapd.conf").write_text(_IMAPD_CONF.format_map(values))
    (place / "cyrus.conf").write_text(_CYRUS_CONF.format_map(values))
    for number in range(USERS):
        _add_user(place, user(number))
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
    cyrus = Cyrus(master.pid, http=http, imap=imap, lmtp=lmtp)
    try:
        wait_lmtp(lmtp)
        yield cyrus
    finally:
        end(cyrus.pids())
        master.wait()


def _add_user(place: Path, name: str) -> None:
    subprocess.run(
        ["saslpasswd2", "-p", "-c", "-f", str(place / "sasldb2"), "-u", "localhost", name],
        input=PASSWORD.encode(),
        check=True,
    )
