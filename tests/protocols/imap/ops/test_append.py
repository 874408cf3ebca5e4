"""APPEND of several messages: as many as one batch holds, and no more."""

from tests.protocols.imap.stage import open_stage

CROWD = ", ".join(f"reader.{n}@example.net" for n in range(700))
LETTER = f"To: {CROWD}\r\nSubject: to everybody\r\n\r\n.".encode()
# With their addresses rendered for JMAP and for IMAP these are more than a batch may hold.
TOO_MANY = 60


async def test_more_than_a_batch_holds_is_refused_whole() -> None:
    async with open_stage() as stage:
        client = await stage.reader()
        announced = b"{%d+}\r\n%b" % (len(LETTER), LETTER)
        lines = await client.ask(b"APPEND INBOX " + b" ".join([announced] * TOO_MANY))
        assert lines[-1] == b"t NO [LIMIT] Too many messages for one APPEND"
        told = await client.ask(b"STATUS INBOX (MESSAGES)")
        assert told[0] == b"* STATUS INBOX (MESSAGES 0)"
        lines = await client.ask(b"APPEND INBOX " + b" ".join([announced] * 2))
        assert lines[-1].startswith(b"t OK [APPENDUID ")
