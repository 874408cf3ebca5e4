"""All odd messages by name, for every test that wants mail as it comes."""

from tests.protocols.mime.odd import Odd
from tests.protocols.mime.odd_addresses import ODD_ADDRESSES
from tests.protocols.mime.odd_bodies import ODD_BODIES
from tests.protocols.mime.odd_headers import ODD_HEADERS
from tests.protocols.mime.odd_structures import ODD_STRUCTURES

ODD: list[Odd] = ODD_ADDRESSES + ODD_HEADERS + ODD_STRUCTURES + ODD_BODIES
ODD_MESSAGES: list[tuple[str, bytes]] = [(one.name, one.data) for one in ODD]
