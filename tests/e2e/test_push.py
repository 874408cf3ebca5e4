"""Three forms of push through the leader's death, and a change of the key that signs pushes: every
change is heard of in each."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.bench.clients import Jmap, Lmtp
from tests.e2e import chaos
from tests.e2e.cluster import RealCluster, RealNode
from tests.e2e.pushes import PushEar, SocketEar, StreamEar, authorization, listening
from tests.e2e.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("e2e")]

USER, PASSWORD = "alice@example.org", "alice-demo"
PUSH = '[push]\ncertificates = "authority.pem"\nallow-private-addresses = true\n'


class Person:
    """Alice, by JMAP at one node."""

    def __init__(self, node: RealNode) -> None:
        self.jmap = Jmap(node.address("http"), USER, PASSWORD)

    def call(self, name: str, **arguments: Any) -> Any:
        answer = self.jmap.send(self.jmap.prepare([name, arguments, "c"]))
        return json.loads(answer)["methodResponses"][0][1]

    def subscribe(self, service: PushEar) -> str:
        """A verified subscription's id."""
        wish = {"deviceClientId": "phone", "url": service.url, "keys": service.client.keys}
        told = self.call("PushSubscription/set", create={"a": {**wish, "types": ["Email"]}})
        made: str = told["created"]["a"]["id"]
        assert until(lambda: made in service.codes, 20), "no verification came"
        patch = {"verificationCode": service.codes[made]}
        told = self.call("PushSubscription/set", update={made: patch})
        assert told["updated"] == {made: None}, told
        return made

    def state(self) -> int:
        """The state of Email, as a number."""
        return int(self.call("Email/get", accountId=self.jmap.account, ids=[])["state"])


def deliver(node: RealNode, number: int) -> bool:
    """Whether the node took the message."""
    with contextlib.suppress(OSError):
        line = Lmtp(node.address("lmtp"))
        with contextlib.closing(line):
            return line.deliver(chaos.numbered(number)).startswith(b"250")
    return False


def test_no_change_is_missed_when_the_leader_dies(tmp_path: Path) -> None:
    service = PushEar(tmp_path)
    cluster = RealCluster.make(tmp_path, 3, PUSH)
    try:
        cluster.start()
        cluster.wait_ready()
        leader = cluster.leader()
        assert leader is not None
        dying, *others = sorted(cluster.nodes, key=lambda node: node.name != leader)
        where = [node.address("http") for node in (dying, *others)]
        stream, socket = (
            StreamEar(authorization(USER, PASSWORD)),
            SocketEar(authorization(USER, PASSWORD)),
        )
        quiet = StreamEar(authorization(USER, PASSWORD))
        ears = (stream, socket, quiet, service)
        told_at = [(stream, where), (socket, where), (quiet, where[1:])]
        with listening(told_at, service):
            assert all(ear.opened.wait(20) for ear in (stream, socket, quiet))
            alice = Person(others[0])
            alice.subscribe(service)
            assert deliver(others[1], 1)
            first = alice.state()
            assert until(lambda: all(ear.newest >= first for ear in ears), 20), heard(ears)

            turned = cluster.trireme("cluster", "rotate-push-key", "--json")
            assert turned.returncode == 0, turned.stderr
            cluster.kill(dying.name)
            assert until(lambda: deliver(others[1], 2), 60), cluster.logs()
            last = alice.state()
            assert last > first
            told = until(lambda: all(ear.newest >= last for ear in ears), 60)
            assert told, heard(ears) + cluster.logs()
        assert stream.reconnected and socket.reconnected
        for headers in service.headers:
            assert headers["Content-Encoding"] == "aes128gcm" and int(headers["TTL"]) > 0
            # RFC 9749 4: by the key that was told when the client subscribed, also now.
            signed_by = json.loads(turned.stdout)["old_key"]
            assert headers["Authorization"].startswith("vapid t=")
            assert headers["Authorization"].endswith(f", k={signed_by}")
    finally:
        cluster.end()


def heard(ears: Any) -> str:
    """What each has been told, for a failure's words."""
    return str([(type(ear).__name__, sorted(ear.told)) for ear in ears])
