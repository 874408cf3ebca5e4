"""Emails as lists show them, encoded, kept from one request to the next.

Lists of the same newest emails are asked for again and again: by a client that looks for news, and
by each device of a user. An email's meta row tells all of it that may change, and what may not
follows from its blob, so an object made of the same row, of the same account, with the same
properties, is the same object. Nothing has to be taken back here, only the oldest forgotten.
"""

from collections import OrderedDict
from typing import Final

from storage.ids import AccountId

Key = tuple[AccountId, tuple[str, ...], bytes]
"""Whose email, which properties, and its packed meta row."""

# What the object of an entry beside its octets takes: two byte strings, a tuple, its place.
_ENTRY_OCTETS: Final = 320


class FragmentCache:
    """The objects used last, as many as fit `octets_max`."""

    def __init__(self, octets_max: int) -> None:
        self._octets_max = octets_max
        self._held: OrderedDict[Key, bytes] = OrderedDict()
        self.octets = 0
        """What all of them take."""

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: Key) -> bytes | None:
        """The encoded object, if it is here."""
        found = self._held.get(key)
        if found is not None:
            self._held.move_to_end(key)
        return found

    def keep(self, key: Key, encoded: bytes) -> None:
        """Remember an object; those used longest ago are forgotten for it."""
        if key in self._held:
            return  # the same bytes
        self._held[key] = encoded
        self.octets += _octets(key, encoded)
        while self.octets > self._octets_max:
            self.octets -= _octets(*self._held.popitem(last=False))


def _octets(key: Key, encoded: bytes) -> int:
    return len(key[2]) + len(encoded) + _ENTRY_OCTETS
