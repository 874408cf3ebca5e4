"""HTML to text: lines, what is skipped, and bounds."""

from protocols.mime import html_text
from protocols.mime.html_text import html_to_text


def test_blocks_are_lines_and_cells_are_words() -> None:
    source = "<h1>Title</h1><p>One <i>two</i>\n three</p><ul><li>a<li>b</ul><td>c<td>d"
    assert html_to_text(source) == "Title\nOne two three\na\nb\nc d"


def test_what_no_reader_sees_is_skipped() -> None:
    source = "<STYLE>a{}</STYLE >b<script type='x'>if (a<b) '</p>'</script>c<title>d</title>"
    assert html_to_text(source) == "bc"


def test_the_end_of_a_tag_is_found_through_quoted_values() -> None:
    assert html_to_text("<a x='>' y=\">\" z=don't>text") == "text"
    assert html_to_text("<a x='>text") == "text"
    assert html_to_text("<a x='>one <a x='>two") == "two"


def test_reading_stops_when_enough_is_read() -> None:
    assert html_to_text("<p>abc</p>" * 100, chars_max=5) == "abc\na"


def test_a_source_is_cut_at_its_bound() -> None:
    source = "x" * html_text.HTML_CHARS_MAX + "tail"
    assert html_to_text(source) == "x" * html_text.HTML_CHARS_MAX


def test_entities_of_any_length_are_harmless() -> None:
    assert html_to_text("&#" + "9" * 10_000 + ";").endswith("9;")
    assert html_to_text("&#xD800; &#0; &lt;p&gt;") == "\ufffd \ufffd <p>"
