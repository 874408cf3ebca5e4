"""AUTHENTICATE SCRAM-SHA-256 over a connection, by a client written from the RFC."""

import base64
import hashlib
import hmac

from tests.protocols.imap.stage import ALICE, Client, open_stage


def decoded(line: bytes) -> bytes:
    assert line.startswith(b"+ "), line
    return base64.b64decode(line[2:])


async def scram(client: Client, password: bytes, *, name: str = ALICE) -> bytes:
    """The whole exchange with an initial response; the last line heard."""
    bare = b"n=%b,r=fyko+d2lbbFgONRv9qkxdawL" % name.encode()
    await client.say(b"a AUTHENTICATE SCRAM-SHA-256 " + base64.b64encode(b"n,," + bare))
    challenge = decoded(await client.line())
    nonce, salt, count = (field[2:] for field in challenge.split(b","))
    salted = hashlib.pbkdf2_hmac("sha256", password, base64.b64decode(salt), int(count))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    final = b"c=biws,r=" + nonce
    spoken = b",".join((bare, challenge, final))
    signature = hmac.digest(hashlib.sha256(client_key).digest(), spoken, "sha256")
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    await client.say(base64.b64encode(final + b",p=" + base64.b64encode(proof)))
    line = await client.line()
    if not line.startswith(b"+"):
        return line
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    verifier = hmac.digest(server_key, spoken, "sha256")
    assert decoded(line) == b"v=" + base64.b64encode(verifier)
    await client.say(b"")
    return await client.line()


async def test_scram_opens_and_proves_the_server_too() -> None:
    async with open_stage() as stage:
        client = stage.connect()
        assert b" AUTH=SCRAM-SHA-256 " in await client.line()
        assert (await scram(client, b"secret")).startswith(b"a OK [CAPABILITY ")
        await client.select()


async def test_a_wrong_password_and_a_name_that_is_nobodys_end_alike() -> None:
    async with open_stage() as stage:
        client = stage.connect()
        await client.line()
        wrong = await scram(client, b"wrong")
        assert wrong.startswith(b"a NO [AUTHENTICATIONFAILED]")
        assert await scram(client, b"wrong", name="nobody@example.org") == wrong


async def test_the_first_message_may_wait_for_its_challenge_and_name_no_other() -> None:
    async with open_stage() as stage:
        client = stage.connect()
        await client.line()
        await client.say(b"a AUTHENTICATE SCRAM-SHA-256")
        assert await client.line() == b"+ "
        await client.say(base64.b64encode(b"n,a=bob@example.org,n=alice@example.org,r=abc"))
        assert (await client.line()).startswith(b"a NO [AUTHORIZATIONFAILED]")
        await client.say(b"b AUTHENTICATE SCRAM-SHA-256 " + base64.b64encode(b"hello"))
        assert (await client.line()).startswith(b"b BAD ")
        await client.say(b"c AUTHENTICATE SCRAM-SHA-256-PLUS")
        assert await client.line() == b"c NO [CANNOT] No such mechanism"


async def test_a_name_is_hashed_as_it_was_written() -> None:
    async with open_stage() as stage:
        client = stage.connect()
        await client.line()
        assert (await scram(client, b"secret", name="Alice@Example.ORG")).startswith(b"a OK ")
