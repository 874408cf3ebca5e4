"""Dovecot 2.3 on loopback: what our IMAP and LMTP are compared with.

It comes from Debian's dovecot-core, dovecot-imapd and dovecot-lmtpd; without them there is nothing
to compare with, and the bench says so. It starts as root, as it must to become its own users, with
all its files in a directory of its own, maildirs, and fsync as Debian sets it up. Settings differ
from Debian's only where a thousand clients of one user would be refused.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.bench.servers import PASSWORD, Peer, end, wait_lmtp
from tests.e2e.cluster import free_ports

PROGRAM: Final = Path("/usr/sbin/dovecot")
SERVICES: Final = Path("/usr/lib/dovecot")

_CONF: Final = """\
base_dir = {place}/run
state_dir = {place}/state
log_path = {place}/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{place}/mail/%u
first_valid_uid = 1
mail_max_userip_connections = 4000
default_client_limit = 4000
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={place}/mail/%u allow_all_users=yes
}}
service imap-login {{
  service_count = 0
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service imap {{
  process_limit = 4000
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
"""


def is_here() -> bool:
    """Whether this machine has Dovecot, and we may start it."""
    found = PROGRAM.is_file() and all((SERVICES / name).is_file() for name in ("imap", "lmtp"))
    return found and os.geteuid() == 0


class Dovecot(Peer):
    """A running one; as one of `servers.Server`."""

    name: Final = "Dovecot"


@contextlib.contextmanager
def running(place: Path) -> Iterator[Dovecot]:
    """Dovecot in this directory."""
    imap, lmtp = free_ports(2)
    place.chmod(0o755)
    (place / "mail").mkdir()
    (place / "mail").chmod(0o777)
    values = {"place": place, "password": PASSWORD, "imap": imap, "lmtp": lmtp}
    (place / "dovecot.conf").write_text(_CONF.format_map(values))
    master = subprocess.Popen([str(PROGRAM), "-F", "-c", str(place / "dovecot.conf")])
    dovecot = Dovecot(master.pid, imap=imap, lmtp=lmtp)
    try:
        wait_lmtp(lmtp)
        yield dovecot
    finally:
        end(dovecot.pids())
        master.wait()
