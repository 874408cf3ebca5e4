"""Clients that are libraries: a script of ours uses each, and is told by lines of JSON what to do.

The library works in an interpreter of its own, with its own packages; a line in is a request,
`{"do": "flag", "id": "e1"}`, and the next line out its answer, `{"ok": ...}` or `{"error": "..."}`.
"""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tests.clients.visit import Failed, last_lines

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
