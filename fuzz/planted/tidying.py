"""Bugs of what is forgotten: change logs, blobs and their segments, in storage/ and node/."""

from typing import Final

from fuzz.planted.mutant import Mutant

# Everything at once: late proposals, kills, power cuts, snapshots.
STORY: Final = "tests/node/test_collecting_story.py"

MUTANTS: Final = (
    Mutant(
        "what changed lately is forgotten",
        "storage/trimming.py",
        "    return min(version - CHANGES_KEPT, max(aged, version - CHANGES_MAX))",
        "    return max(aged, version - CHANGES_MAX)",
        ("tests/storage/test_trimming.py",),
    ),
    Mutant(
        "what changed this month is forgotten",
        "storage/trimming.py",
        "    return min(version - CHANGES_KEPT, max(aged, version - CHANGES_MAX))",
        "    return version - CHANGES_KEPT",
        ("tests/storage/test_trimming.py",),
    ),
    Mutant(
        "changes are forgotten and nobody is told",
        "storage/changes.py",
        "        plan.put(keys.horizon_key(account), pack_u64(up_to))",
        "        pass",
        ("tests/storage/test_changes.py", "tests/storage/test_trimming.py"),
    ),
    Mutant(
        "what a leader did not finish to forget stays",
        "storage/trimming.py",
        "    return horizon > 0 and changes.has_untrimmed(rows, account)",
        "    return False",
        ("tests/storage/test_trimming.py",),
    ),
    Mutant(
        "a link does not look whether its blob is about to go",
        "storage/blob_links.py",
        "    if plan.expect(lone) is not None:",
        "    if False:",
        ("tests/storage/test_collecting.py", STORY),
    ),
    Mutant(
        "a link does not look whether its blob is here",
        "node/queues.py",
        "        for blob in (*waiting.needs, *plan.linked):",
        "        for blob in ():",
        ("tests/node/test_queues.py", STORY),
    ),
    Mutant(
        "a blob that was linked meanwhile is forgotten",
        "storage/collecting.py",
        "        if plan.expect(lone) != each.mark or not",
        "        if plan.get(lone) != each.mark or not",
        ("tests/storage/test_collecting.py", STORY),
    ),
    Mutant(
        "a mark that is younger than the look at the accounts counts",
        "storage/collecting.py",
        "sizes.get(blob), offsets, marks.get(blob), is_held)",
        "sizes.get(blob), offsets, rows.get(keys.lone_blob_key(blob)), is_held)",
        ("tests/storage/test_collecting.py",),
    ),
    Mutant(
        "a mark looks like another that a link took away",
        "storage/collecting.py",
        "pack_u64(plan.chance.getrandbits(_MARK_BITS))",
        "pack_u64(_MARK_BITS)",
        ("tests/storage/test_collecting.py",),
    ),
    Mutant(
        "a blob is forgotten while somebody may still read it",
        "storage/collecting.py",
        "<= plan.now_ms - grace_ms:",
        "<= plan.now_ms:",
        ("tests/storage/test_collecting.py",),
    ),
    Mutant(
        "blobs are forgotten beside nodes that know no marks",
        "storage/collecting.py",
        "    may_forget = _are_guarded(plan, members)",
        "    may_forget = True",
        ("tests/storage/test_collecting.py",),
    ),
    Mutant(
        "half an upload that goes on is forgotten",
        "storage/collecting.py",
        " or _LONE.unpack_from(each.mark)[1] != len(each.offsets):",
        ":",
        ("tests/storage/test_collecting.py",),
    ),
    Mutant(
        "a segment goes before the rows that let it go are on the disk",
        "node/reclaimer.py",
        "        durable = await self._machine.checkpoint(self._run_blocking)",
        "        durable = seen_at",
        ("tests/node/test_reclaimer.py",),
    ),
    Mutant(
        "a segment goes with what could not be moved",
        "node/reclaimer.py",
        "        empty = [each for each in chosen if each.number not in referred]",
        "        empty = list(chosen)",
        ("tests/node/test_reclaimer.py",),
    ),
    Mutant(
        "what a snapshot names goes while it is fetched",
        "node/reclaimer.py",
        "            if self._is_giving():",
        "            if False:",
        ("tests/node/test_reclaimer.py",),
    ),
    Mutant(
        "moved parts are not synced",
        "storage/reclaim.py",
        "    blobs.sync(sorted({place.segment for place in places if place.length}))",
        "    pass",
        ("tests/node/test_reclaimer.py", STORY),
    ),
    Mutant(
        "parts are moved without a look at their bytes",
        "storage/reclaim.py",
        "    return [right_bytes(files, each.part) for each in held]",
        "    places = [each.place for each in held]\n"
        "    return [files.read(at.segment, at.position, at.length) for at in places]",
        ("tests/node/test_reclaimer.py",),
    ),
    Mutant(
        "a segment's number is given again",
        "storage/blobs.py",
        "        self._segment = max(taken, *numbers, 0) + 1",
        "        self._segment = max(*numbers, 0, 0) + 1",
        ("tests/storage/test_blobs.py", "tests/node/test_reclaimer.py"),
    ),
    Mutant(
        "the scrubber asks for what was collected",
        "storage/scrub.py",
        "    if not is_named(rows, part.blob, part.offset):",
        "    if False:",
        ("tests/node/test_upkeep.py",),
    ),
)
