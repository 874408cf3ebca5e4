"""Bugs of the cluster's keys and of their change, in node/."""

from typing import Final

from fuzz.planted.mutant import Mutant

MUTANTS: Final = (
    Mutant(
        "a key is used while a member did not say that it has it",
        "node/key_rotation.py",
        "        return Step(Phase.USE, target, () if silent else ask, silent)",
        "        return Step(Phase.USE, target, ask, silent)",
        ("tests/node/test_key_rotation.py",),
    ),
    Mutant(
        "an old key is removed while a member did not say that it uses the new",
        "node/key_rotation.py",
        "        return Step(Phase.REMOVE, target, () if silent else ask, silent)",
        "        return Step(Phase.REMOVE, target, ask, silent)",
        ("tests/node/test_key_rotation.py",),
    ),
    Mutant(
        "an old key is never removed",
        "node/keyring.py",
        "    kept = tuple(key for key in ring.keys if key.name >= ring.in_use.name)",
        "    kept = ring.keys",
        ("tests/node/test_keyring.py",),
    ),
    Mutant(
        "a member goes back to an older key",
        "node/keyring.py",
        "    if ring.key(key_id).name < ring.in_use.name:",
        "    if ring.key(key_id) is None:",
        ("tests/node/test_keyring.py",),
    ),
    Mutant(
        "a key is confirmed that is not on the disk",
        "node/key_holder.py",
        "            await self._env.run_blocking(lambda: write_ring(disk, directory, ring))\n",
        "",
        ("tests/node/test_key_desk.py",),
    ),
    Mutant(
        "links outlive the key that opened them",
        "node/key_desk.py",
        "            self._server.end_removed()\n",
        "",
        ("tests/node/test_key_desk.py",),
    ),
    Mutant(
        "one who links with an earlier key is refused while it is still good",
        "node/rpc/handshake.py",
        "        self._tried = (known.offered(attempt),) if dialer else known.held",
        "        self._tried = (known.offered(attempt),) if dialer else known.held[:1]",
        ("tests/node/rpc/test_handshake.py",),
    ),
    Mutant(
        "a later key names another cluster",
        "node/secret.py",
        "    return first_ring(bytes.fromhex(cluster.decode()), Key(int(number), secret))",
        "    return first_ring(cluster_id(config.cluster.name, secret), Key(int(number), secret))",
        ("tests/node/test_secret.py",),
    ),
)
