"""Folding, comments and quotes."""

from protocols.mime import grammar


def test_unfolding_removes_the_break_and_keeps_the_space() -> None:
    assert grammar.unfold("a\r\n b\n\tc") == "a b\tc"
    assert grammar.unfold("a\r\nb\rc\n") == "a b c"


def test_comments_nest_up_to_the_bound() -> None:
    depth = grammar.COMMENT_DEPTH_MAX
    assert grammar.strip_comments("a" + "(" * depth + ")" * depth + "b") == "a b"
    deeper = "(" * (depth + 1) + ")" * (depth + 1)
    assert grammar.comment_end(deeper, 0) == -1
    assert "a" in grammar.strip_comments("a" + deeper)


def test_parentheses_in_quotes_are_no_comments() -> None:
    assert grammar.strip_comments('"(a)" (b) "\\"(c)"') == '"(a)"   "\\"(c)"'


def test_what_never_closes_is_plain() -> None:
    assert grammar.strip_comments('"a (b) c') == '"a   c'
    assert grammar.strip_comments("a (b (c) d") == "a  b  c) d"


def test_quoted_pairs_are_resolved() -> None:
    assert grammar.unquote('a\\"b\\\\c\\') == 'a"b\\c\\'
