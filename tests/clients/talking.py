"""Clients that are libraries: a script of ours uses each, and is told by lines of JSON what to do.

The library works in an interpreter of its own, with its own packages; a line in is a request,
`{"do": "flag", "id": "e1"}`, and the next line out its answer, `{"ok": ...}` or `{"error": "..."}`.
"""

import contextlib
import os
import signal
import subprocess
import threading
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tests.clients.visit import Failed, Place, Visit, expect, last_lines, unique

ANSWER_S = 60.0


class Talker:
    """The script's process."""

    def __init__(self, words: Sequence[str | Path], env: Mapping[str, str], home: Path) -> None:
        self._said = home / "script.log"
        with self._said.open("ab") as log:
            self._process = subprocess.Popen(
                [str(word) for word in words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | env,
                start_new_session=True,
            )

    def ask(self, do: str, **words: Any) -> Any:
        """Have something done; Failed when the script says so, or says nothing in time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = threading.Timer(ANSWER_S, self._kill)
        timer.start()
        try:
            self._process.stdin.write(msgspec.json.encode({"do": do, **words}) + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = b""
        finally:
            timer.cancel()
        if not line:
            raise Failed(f"{do}: the script is gone: {last_lines(self._said.read_bytes())}")
        answer: dict[str, Any] = msgspec.json.decode(line)
        if "error" in answer:
            raise Failed(f"{do}: {answer['error']}")
        return answer["ok"]

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End it, whatever it does."""
        self._kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()


class ScriptVisit(Visit):
    """A day with a library, by its script."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.talker = self.start()
        self.subject, self.text = unique("letter"), unique("word")

    @abstractmethod
    def start(self) -> Talker:
        """The script that uses this library."""

    def close(self) -> None:
        self.talker.close()

    def read_newest(self) -> dict[str, Any]:
        """What the library tells of a message that came in elsewhere."""
        self.place.deliver(self.subject, self.text)
        told: dict[str, Any] = self.talker.ask("read")
        expect((told["subject"], told["text"].strip()), (self.subject, self.text), "the newest")
        return told
