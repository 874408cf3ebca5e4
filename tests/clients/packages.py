"""Clients from PyPI and npm, installed by pip and npm into a directory of ours."""

import shutil
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parent / "scripts"
# Exactly these versions are tried: a newer one is a change of its own.
FROM_PYPI = ("jmapc==0.4.0", "imapclient==4.1.0")
FROM_NPM = ("jmap-client-ts@1.0.0", "jmap-jam@0.13.1", "eventsource@4.1.1", "imapflow@2.10.2")
INSTALL_S = 300.0


class Packages:
    """Installs what is asked for, once; `missing_...` comes before the first use."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def python(self) -> Path:
        """The Python that has the packages from PyPI."""
        return self._directory / "pypi" / "bin" / "python"

    @property
    def npm(self) -> Path:
        """The directory with the packages from npm, and our scripts."""
        return self._directory / "npm"

    def missing_python(self) -> str:
        """Install what comes from PyPI; why that cannot be done, or an empty text."""
        quiet = ("--quiet", "--disable-pip-version-check")
        return self._installed(
            "pypi",
            FROM_PYPI,
            [sys.executable, "-m", "venv", str(self._directory / "pypi")],
            [str(self.python), "-m", "pip", "install", *quiet, *FROM_PYPI],
        )

    def missing_npm(self) -> str:
        """Install what comes from npm; why that cannot be done, or an empty text."""
        for program, package in (("node", "nodejs"), ("npm", "npm")):
            if shutil.which(program) is None:
                return f"not installed: apt install {package}"
        quiet = ("--silent", "--no-fund", "--prefix", str(self.npm))
        reason = self._installed("npm", FROM_NPM, ["npm", "install", *quiet, *FROM_NPM])
        if not reason:
            # Node.js looks for packages beside the script that wants them.
            for script in SCRIPTS.glob("*.mjs"):
                shutil.copy(script, self.npm)
        return reason

    def _installed(self, name: str, packages: tuple[str, ...], *commands: list[str]) -> str:
        home = self._directory / name
        done = home / "-".join(("done", *packages))
        if done.exists():
            return ""
        home.mkdir(parents=True, exist_ok=True)
        for command in commands:
            if reason := _failure(command):
                return f"not installed: {reason}"
        done.touch()
        return ""


def _failure(command: list[str]) -> str:
    """Run it; why it failed, if it did."""
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{command[0]} did not end in {INSTALL_S:.0f} s"
    if not ended.returncode:
        return ""
    lines = (ended.stderr or ended.stdout).strip().splitlines()
    return f"{' '.join(command[:4])}: {lines[-1] if lines else ended.returncode}"
