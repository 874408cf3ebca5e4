"""The hall: wires the rooms together. Nothing imports node."""

from typing import Final

VERSION: Final = "0.1.0"
