"""Bugs of what is forgotten: change logs, in storage/."""

from typing import Final

from fuzz.planted.mutant import Mutant

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
)
