"""A monkey at the keyboard: whatever it types, the door answers and lives.

Commands are put together from words that belong to the grammar, so most of them get past the
parser and into the ops. A bug anywhere ends the connection's task with an error, which fails the
test; the seed brings it back.
"""

import random
import re

import pytest

from protocols.imap import ImapDoor
from tests.protocols.imap.stage import Client, mail, open_stage
from tests.protocols.imap.test_dialogues import DIALOGUES

SETS = ("1", "1:*", "*", "2:3", "5:1,2", "$", "999", "1:4294967295")
MAILBOXES = ("INBOX", "Archive", "new/box", "&U,BTFw-", '"two words"', "Sent", "nowhere", "new")
ITEMS = (
    "FLAGS", "UID", "ENVELOPE", "BODY", "BODYSTRUCTURE", "INTERNALDATE", "RFC822.SIZE", "RFC822",
    "BODY[]", "BODY[1]", "BODY.PEEK[2.1]", "BODY[2.HEADER]", "BODY[HEADER.FIELDS (TO)]<2.9>",
    "BODY.PEEK[3.MIME]", "BINARY.PEEK[3]", "BINARY.SIZE[1]", "BINARY[]<0.5>", "RFC822.HEADER",
)  # fmt: skip
KEYS = (
    "ALL", "SEEN", "NOT DELETED", "SUBJECT o", "FROM bob", "TEXT plain", "BODY caf", "UID 1:3",
    "SINCE 1-Jan-2020", "SENTON 17-Jul-1996", "LARGER 9", "HEADER X y", "$", "2:*",
    "OR DRAFT (1 2)", "KEYWORD $work", "FUZZY SUBJECT lettre", "FUZZY (TEXT bbo SMALLER 600)",
    "UIDAFTER 2", "UIDBEFORE 4", "FUZZY NOT SENTON 19-Jul-1996",
)  # fmt: skip
NOTIFICATIONS = (
    "NONE", "SET (selected NONE)", "SET STATUS (personal (MailboxName SubscriptionChange))",
    "SET (selected (MessageNew (UID BODY.PEEK[TEXT] BINARY.PEEK[3]) MessageExpunge FlagChange))",
    "SET (selected-delayed (MessageNew MessageExpunge)) (subtree new (MailboxName))",
    "SET STATUS (subscribed (MessageNew MessageExpunge FlagChange)) (mailboxes Sent NONE)",
)  # fmt: skip
# What nobody hears who has enabled UIDONLY.
NUMBERED = re.compile(rb"\* [0-9]+ (?:FETCH|EXPUNGE)")
URLS = tuple(
    f"imap://alice%40example.org@h/{mailbox}/;UID={part};URLAUTH={access}"
    for mailbox in ("INBOX", "new/box", "nowhere")
    for part in ("1", "2/;SECTION=2.HEADER", "3/;SECTION=3/;PARTIAL=1.2", "1/;SECTION=1.MIME")
    for access in ("anonymous", "user+alice%40example.org", "submit+x%40example.org")
)
URL_ITEMS = ("BINARY", "BODYPARTSTRUCTURE", "BODYPARTSTRUCTURE BINARY", "BODY BODYPARTSTRUCTURE")
FLAGS = ("\\Seen", "\\Deleted", "$Work", "\\Flagged \\Draft", "")


def command(chance: random.Random, made: list[str]) -> str:
    """Something a client might say; `made` are URLs that it has heard."""
    pick = chance.choice
    numbers, mailbox, flags = pick(SETS), pick(MAILBOXES), pick(FLAGS)
    items = " ".join(chance.sample(ITEMS, chance.randint(1, 4)))
    keys = " ".join(chance.sample(KEYS, chance.randint(1, 3)))
    uid = pick(("", "UID "))
    returns = pick(
        ("", "RETURN () ", "RETURN (MIN MAX) ", "RETURN (SAVE COUNT) ", "RETURN (SAVE) ",
         "RETURN (RELEVANCY ALL) ", "RETURN (UPDATE) ", "RETURN (PARTIAL 1:2) ")
    )  # fmt: skip
    order = pick(("ARRIVAL", "REVERSE SUBJECT", "RELEVANCY", "DISPLAYFROM SIZE"))
    return pick(
        (
            f"{uid}FETCH {numbers} ({items})",
            f"{uid}FETCH {numbers} {pick(('ALL', 'FAST', 'FULL', 'UID'))}",
            f"{uid}STORE {numbers} {pick(('', '+', '-'))}FLAGS{pick(('', '.SILENT'))} ({flags})",
            f"{uid}SEARCH {returns}{keys}",
            f"{uid}SORT {returns}({order}) UTF-8 {keys}",
            f"{uid}THREAD REFS UTF-8 {keys}",
            f"UIDBATCHES {pick(('500', '2000 1:1', '500 2:1', '7'))}",
            f"{uid}{pick(('COPY', 'MOVE'))} {numbers} {mailbox}",
            f"UID EXPUNGE {numbers}",
            pick(("EXPUNGE", "NOOP", "CHECK", "CLOSE", "UNSELECT", "NAMESPACE", "CAPABILITY")),
            f"{pick(('SELECT', 'EXAMINE', 'SELECT', 'SELECT'))} {pick(('INBOX', mailbox))}",
            f"{pick(('CREATE', 'DELETE', 'SUBSCRIBE', 'UNSUBSCRIBE'))} {mailbox}",
            f"RENAME {mailbox} {pick(MAILBOXES)}",
            f'LIST "" {pick(("*", "%", "n*", "%/%"))} RETURN (STATUS (MESSAGES SIZE))',
            f'LIST (SUBSCRIBED RECURSIVEMATCH) "" {pick(("*", "%"))}',
            f'LSUB "" {pick(("*", "%"))}',
            f"STATUS {mailbox} (MESSAGES UIDNEXT UNSEEN DELETED SIZE)",
            f"APPEND {mailbox} ({flags}) {{4+}}\r\nx: y",
            f"NOTIFY {pick(NOTIFICATIONS)}",
            f'GENURLAUTH "{pick(URLS)}" INTERNAL',
            f'URLFETCH "{pick(made)}" ("{pick(made)}" {pick(URL_ITEMS)})',
            f'APPEND {mailbox} CATENATE (URL "{pick(made)}" TEXT {{4+}}\r\nx: y)',
            pick(("RESETKEY", f"RESETKEY {mailbox}")),
            pick(("ENABLE IMAP4rev2", "ENABLE QRESYNC", "ID NIL", "IDLE\r\nDONE", "SELECT INBOX")),
        )
    )


async def answer(client: Client, tag: bytes, text: str, heard: list[bytes]) -> bytes:
    """The tagged ending; literals are stepped over as what they are, lines are put into `heard`."""
    await client.send(tag + b" " + text.encode() + b"\r\n")
    while True:
        line = await client.line()
        while line.endswith(b"}") and not line.startswith(b"+"):
            await client.take(int(line[line.rindex(b"{") + 1 : -1]))
            line = await client.line()
        heard.append(line)
        if line.startswith(tag + b" "):
            return line


def made_in(line: bytes) -> str:
    """The URL that GENURLAUTH has told."""
    return line.decode().split('"')[1]


@pytest.mark.parametrize("seed", range(10))
async def test_a_monkey_breaks_nothing(seed: int) -> None:
    chance = random.Random(seed)
    letter = (DIALOGUES / "letter.eml").read_bytes().replace(b"\n", b"\r\n")
    async with open_stage() as stage:
        stage.door = ImapDoor(stage.house.ports, message_limit=5 * (seed % 2))
        clients = [await stage.reader() for _ in range(3)]
        heard: list[bytes] = []
        await answer(clients[0], b"t", "ENABLE UIDONLY", heard)
        made = [URLS[0]]
        for step in range(250):
            if step % 9 == 0:
                stage.deliver(chance.choice((letter, mail(f"n {step}"))))
            stage.house.unavailable = chance.random() < 0.03
            heard.clear()
            client = chance.choice(clients)
            ending = await answer(client, b"t%d" % step, command(chance, made), heard)
            made += [made_in(line) for line in heard if line.startswith(b"* GENURLAUTH ")]
            assert ending.split()[1] in (b"OK", b"NO", b"BAD"), ending
            if client is clients[0]:
                assert not any(NUMBERED.match(line) for line in heard), heard
