"""How many sentences of each section of an RFC say MUST, SHOULD or their like.

    python -m tests.protocols.sentences rfc9051.txt 6 7

prints what stands in rfc9051.counts (sections 6 and 7; without numbers all of them); the table
beside it numbers them by section in this order.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_WORD: Final = re.compile(r"\b(?:MUST|SHOULD|SHALL|REQUIRED|RECOMMENDED)\b")
_SECTION: Final = re.compile(r"(\d+(?:\.\d+)*)\.  +\S")
_PAGE: Final = re.compile(r"\S.*\[Page \d+\]\Z|RFC \d+  ")
_SENTENCE_END: Final = re.compile(r'(?<=[.!?])\s+(?=[A-Z"(])')
_PARAGRAPH_END: Final = tuple('.:!?)"}')


def _paragraphs(text: str) -> Iterator[tuple[str, str]]:
    """Section and text of each paragraph, those that a page divides put together."""
    section, held, waiting = "", "", ("", "")
    for line in [*text.replace("\f", "").split("\n"), ""]:
        begins = _SECTION.match(line)
        is_section = begins is not None and "...." not in line and ". . ." not in line
        if _PAGE.match(line):
            continue
        if line.strip() and not is_section:
            held = f"{held} {line.strip()}" if held else line.strip()
            continue
        if held:
            if waiting[0] == section and _is_cut(waiting[1], held):
                waiting = (section, f"{waiting[1]} {held}")
            else:
                yield waiting
                waiting = (section, held)
            held = ""
        if begins is not None and is_section:
            section = begins[1]
    yield waiting


def _is_cut(before: str, after: str) -> bool:
    return bool(before) and not before.endswith(_PARAGRAPH_END) and after[0].islower()


def required(text: str) -> Iterator[tuple[str, str]]:
    """Section and sentence, of the sentences that require or recommend something."""
    for section, paragraph in _paragraphs(text):
        for sentence in _SENTENCE_END.split(paragraph):
            if section and _WORD.search(sentence):
                yield section, sentence


def counts(text: str) -> dict[str, int]:
    """How many there are, by section."""
    found: dict[str, int] = {}
    for section, _ in required(text):
        found[section] = found.get(section, 0) + 1
    return found


if __name__ == "__main__":
    for name, count in counts(Path(sys.argv[1]).read_text(errors="replace")).items():
        if len(sys.argv) == 2 or name.split(".")[0] in sys.argv[2:]:
            print(name, count)
