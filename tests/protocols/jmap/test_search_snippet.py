"""SearchSnippet/get: what was looked for, marked, escaped and short."""

from typing import Any

from protocols.jmap.methods.search_snippet import PREVIEW_OCTETS_MAX
from tests.protocols.jmap.desk import Desk, message


async def snippet(filter_: Any, subject: str, body: str = "Hi there.\r\n") -> dict[str, Any]:
    """The snippet of one email."""
    desk = Desk()
    email = desk.deliver(message(subject, body=body))
    told = await desk.call("SearchSnippet/get", filter=filter_, emailIds=[email])
    assert told["notFound"] is None
    (found,) = told["list"]
    assert found.pop("emailId") == email
    result: dict[str, Any] = found
    return result


async def test_words_are_marked_and_markup_is_escaped() -> None:
    found = await snippet({"text": "foo"}, "A <Foo> & foosball", "no\r\n<1 FOO>\r\n")
    assert found["subject"] == "A &lt;<mark>Foo</mark>&gt; &amp; <mark>foo</mark>sball"
    assert found["preview"] == "no &lt;1 <mark>FOO</mark>&gt;"


async def test_what_does_not_match_is_null() -> None:
    assert await snippet({"subject": "foo"}, "Foo", "foo") == {
        "subject": "<mark>Foo</mark>",
        "preview": None,
    }
    assert await snippet({"body": "foo"}, "Foo", "bar") == {"subject": None, "preview": None}
    assert await snippet(None, "Foo") == {"subject": None, "preview": None}
    never = {"operator": "NOT", "conditions": [{"text": "foo"}]}
    assert await snippet(never, "Foo") == {"subject": None, "preview": None}


async def test_all_conditions_are_marked_and_phrases_as_they_are() -> None:
    both = {"operator": "AND", "conditions": [{"text": '"new moon"'}, {"subject": "tea"}]}
    found = await snippet(both, "Tea at new  moon, newmoon", "a new\r\nmoon")
    assert found["subject"] == "<mark>Tea</mark> at <mark>new  moon</mark>, newmoon"
    assert found["preview"] == "a <mark>new moon</mark>"


async def test_a_preview_is_short_whatever_is_in_it() -> None:
    for filling in ("word ", "<<&&", "ünï ", "foo "):
        found = await snippet({"body": "foo"}, "x", filling * 200 + "foo " + filling * 200)
        preview = found["preview"]
        assert len(preview.encode()) <= PREVIEW_OCTETS_MAX and "<mark>foo</mark>" in preview
        assert preview.endswith("...") and preview.count("<mark>") == preview.count("</mark>")


async def test_refusals_and_emails_that_are_not_there() -> None:
    desk = Desk()
    told = await desk.call("SearchSnippet/get", filter={"text": "x"}, emailIds=["e9", "x"])
    assert (told["list"], told["notFound"]) == ([], ["e9", "x"])
    assert await desk.refusal("SearchSnippet/get", filter=None) == "invalidArguments"
    refused = await desk.refusal("SearchSnippet/get", filter={"colour": 1}, emailIds=[])
    assert refused == "unsupportedFilter"
    refused = await desk.refusal("SearchSnippet/get", emailIds=["e1"] * 1001)
    assert refused == "requestTooLarge"
