"""Bugs of failure detection, of the member table and of sealed packets, in gossip/."""

from typing import Final

from fuzz.planted.mutant import Mutant

MUTANTS: Final = (
    Mutant(
        "the dead are not called again",
        "gossip/core.py",
        "            known = {*self._seeds, *self._table.addresses_dead()}",
        "            known = {*self._seeds}",
        ("tests/gossip/test_core.py",),
    ),
    Mutant(
        "the sick ask others later",
        "gossip/probes.py",
        "        self._probe = _Probe(target, seq, now_ms + self._config.probe_timeout_ms)",
        "        self._probe = _Probe(\n"
        "            target, seq, now_ms + awareness.stretch(self._config.probe_timeout_ms)\n"
        "        )",
        ("tests/gossip/test_probes.py",),
    ),
    Mutant(
        "an accusation of an older incarnation buries the newer",
        "gossip/members.py",
        "        if (claim.incarnation, status) < (held.incarnation, held.status):",
        "        if status < held.status:",
        ("tests/gossip/test_members.py",),
    ),
    Mutant(
        "a suspicion outlives the refutation",
        "gossip/core.py",
        "        else:\n            self._suspicions.pop(claim.replica, None)",
        "        elif not isinstance(claim, Alive):\n"
        "            self._suspicions.pop(claim.replica, None)",
        ("tests/gossip/test_core.py",),
    ),
    Mutant(
        "at the same incarnation the living win",
        "gossip/members.py",
        "        if held and claim.incarnation <= held.incarnation:",
        "        if held and claim.incarnation < held.incarnation:",
        ("tests/gossip/test_members.py",),
    ),
    Mutant(
        "an incarnation that starts again",
        "gossip/driver.py",
        "    return max(stored + 1, wall_ms)",
        "    return wall_ms",
        ("tests/gossip/test_driver.py",),
    ),
    Mutant(
        "an incarnation that is not kept",
        "gossip/driver.py",
        "        await self._save_port(incarnation)\n",
        "",
        ("tests/gossip/test_driver.py",),
    ),
    Mutant(
        "a refutation that is not above the accusation",
        "gossip/core.py",
        "        self._raise_incarnation(claim.incarnation)\n",
        "        self._raise_incarnation(self.own.incarnation - 1)\n",
        ("tests/gossip/test_core.py",),
    ),
    Mutant(
        "an incarnation that one lie pushes to the end of numbers",
        "gossip/members.py",
        "    return claimed <= min(max(known) + INCARNATION_JUMP_MAX, INCARNATION_MAX)",
        "    return True",
        (
            "tests/gossip/test_core.py",
            "tests/gossip/test_members.py",
        ),
    ),
    Mutant(
        "a suspect is declared dead unheard",
        "gossip/core.py",
        "                self._send(member.address, accusation)\n",
        "",
        ("tests/gossip/test_core.py",),
    ),
    Mutant(
        "an accuser waits for rumour to bring the objection",
        "gossip/core.py",
        "            self._send(source, self.own.claim())\n",
        "            pass\n",
        ("tests/gossip/test_core.py",),
    ),
    Mutant(
        "an accusation that was refuted before is left to rumour",
        "gossip/core.py",
        "            self._answer_accuser(claim, source)\n            return\n",
        "            return\n",
        ("tests/gossip/test_core.py",),
    ),
    Mutant(
        "the dead are not told to a stale alive",
        "gossip/core.py",
        "            self._send(claim.address, held)\n",
        "            pass\n",
        ("tests/gossip/test_core.py",),
    ),
    Mutant(
        "one held dead that pings us is not told",
        "gossip/core.py",
        "        self._send(source, ack, held)\n",
        "        self._send(source, ack)\n",
        ("tests/gossip/test_core.py",),
    ),
    Mutant(
        "one table's verdict of death is final",
        "gossip/core.py",
        "                accusation = Suspect(record.replica, record.incarnation, teller)",
        "                accusation = Dead(record.replica, record.incarnation, teller)",
        ("tests/gossip/test_core.py",),
    ),
    Mutant(
        "a lone accuser is believed at once",
        "gossip/suspicion.py",
        "        self.max_ms = config.suspicion_max_ms(members) if self._wanted else self.min_ms",
        "        self.max_ms = self.min_ms",
        ("tests/gossip/test_suspicion.py",),
    ),
    Mutant(
        "one accuser who says it twice counts twice",
        "gossip/suspicion.py",
        "        if accuser in self._accusers or len(self._accusers) > self._wanted:\n"
        "            return False\n"
        "        self._accusers.add(accuser)",
        "        if len(self._accusers) > self._wanted:\n"
        "            return False\n"
        "        self._accusers.add(accuser + len(self._accusers))",
        ("tests/gossip/test_suspicion.py",),
    ),
    Mutant(
        "a missing nack is not counted",
        "gossip/probes.py",
        "        awareness.add(len(probe.silent) if probe.had_help else 1)",
        "        awareness.add(1)",
        ("tests/gossip/test_probes.py",),
    ),
    Mutant(
        "no nack is ever sent",
        "gossip/probes.py",
        "                steps.sends.append((relay.asker, Nack(relay.asker_seq, self._own)))",
        "                pass",
        ("tests/gossip/test_probes.py",),
    ),
    Mutant(
        "our own ill health stretches nothing",
        "gossip/awareness.py",
        "        return wait_ms * (self.score + 1)",
        "        return wait_ms",
        ("tests/gossip/test_awareness.py",),
    ),
    Mutant(
        "nobody else is asked to ping",
        "gossip/probes.py",
        "        steps.sends.extend((other.address, request) for other in others)\n",
        "",
        ("tests/gossip/test_probes.py",),
    ),
    Mutant(
        "no ping over a stream",
        "gossip/probes.py",
        "        steps.streams.append((target.address, Ping(probe.seq, self._own, "
        "target.replica)))\n",
        "",
        ("tests/gossip/test_probes.py",),
    ),
    Mutant(
        "a late answer to another probe counts",
        "gossip/probes.py",
        "        if probe and probe.seq == ack.seq and probe.target.replica == ack.sender:",
        "        if probe and probe.target.replica == ack.sender:",
        ("tests/gossip/test_probes.py",),
    ),
    Mutant(
        "a suspect is not told so with a ping",
        "gossip/core.py",
        "            return () if held is None else (held,)\n",
        "            return ()\n",
        ("tests/gossip/test_core.py",),
    ),
    Mutant(
        "the dead are told nothing",
        "gossip/members.py",
        "            if m.status < Status.DEAD or "
        "(m.status is Status.DEAD and m.changed_at_ms > since)",
        "            if m.status < Status.DEAD",
        ("tests/gossip/test_core.py", "tests/gossip/test_members.py"),
    ),
    Mutant(
        "whoever leaves is called dead",
        "gossip/members.py",
        "        case Left():\n            return Status.LEFT",
        "        case Left():\n            return Status.DEAD",
        ("tests/gossip/test_members.py",),
    ),
    Mutant(
        "two living under one name",
        "gossip/members.py",
        "        if holder.status.is_up:\n            return False\n",
        "",
        ("tests/gossip/test_members.py",),
    ),
    Mutant(
        "a process that was stopped judges by what it missed",
        "gossip/core.py",
        "        if pause_ms > PAUSE_INTERVALS * self.config.probe_interval_ms:",
        "        if False:",
        ("tests/gossip/test_core.py",),
    ),
    Mutant(
        "seeds are called once",
        "gossip/core.py",
        "            self._seed_at_ms = now_ms + self._jittered(self.config.seed_retry_ms)",
        "            self._seeds = ()",
        ("tests/gossip/test_core.py",),
    ),
    Mutant(
        "a recorded packet is heard again",
        "gossip/seal.py",
        '        if nonce in self._seen:\n            raise SealError("replay")\n',
        "",
        ("tests/gossip/test_seal.py",),
    ),
    Mutant(
        "a packet is heard however old it is",
        "gossip/seal.py",
        "        if abs(_STAMP.unpack_from(opened)[0] - wall_ms) > STAMP_SKEW_MS_MAX:",
        "        if False:",
        ("tests/gossip/test_seal.py",),
    ),
)
