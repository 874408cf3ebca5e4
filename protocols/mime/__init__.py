"""Mail as bytes made readable, and readable made bytes: RFC 5322, MIME and their broken relatives.

Sans-IO: pure functions over bytes. Any input parses, in linear time and within the bounds each
module names; a message is never changed, its parts are offsets into it. Down the stairs: envelope
and preview read bodies and html_text, which read structure, which reads headers, which read
addresses, dates, words and parameters, which read grammar and charsets. `build` goes the other way.
"""

from protocols.mime.build import PartSpec, build
from protocols.mime.envelope import Summary, summarise
from protocols.mime.structure import Part, parse

__all__ = ["Part", "PartSpec", "Summary", "build", "parse", "summarise"]
