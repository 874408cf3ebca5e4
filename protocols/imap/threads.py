"""The threading algorithms of RFC 5256 3, and REFS: messages in, trees out, and trees as shown.

Nothing here recurses: a tree may be as deep as a client's mail makes it, up to DEPTH_MAX.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

# A link that would put a message deeper than this is not made, as one that would make a loop is
# not: looking for loops costs a step per level.
DEPTH_MAX: Final = 1_000
# The last so many of a message's references are used: those nearest to it.
REFERENCES_MAX: Final = 50


@dataclass(slots=True)
class Threadable:
    """What threading needs of one message.

    `number` is what the client is told; `subject` is the base subject, folded for comparison;
    `references` as RFC 5256 finds them: References, else the first id of In-Reply-To.
    """

    number: int
    sent_ms: int
    subject: str
    is_reply: bool = False
    message_id: str | None = None
    references: tuple[str, ...] = ()
    received_ms: int = 0


@dataclass(slots=True, eq=False)
class Node:
    """A message, or a dummy: an ancestor that is not among them."""

    message: Threadable | None = None
    parent: "Node | None" = None
    children: dict["Node", None] = field(default_factory=dict)  # in order; a list finds none fast

    @property
    def shown(self) -> Threadable:
        """The message, or of a dummy that of its first child, which stands for it."""
        node = self
        while node.message is None:
            node = next(iter(node.children))
        return node.message

    @property
    def age(self) -> tuple[int, int]:
        """What siblings are sorted by: sent date, then place in the mailbox (RFC 5256 2.2)."""
        shown = self.shown
        return shown.sent_ms, shown.number


def by_subject(messages: Iterable[Threadable]) -> list[Node]:
    """ORDEREDSUBJECT: a thread for each base subject, all others children of its oldest."""
    threads: dict[str, Node] = {}
    for message in sorted(messages, key=lambda one: (one.sent_ms, one.number)):
        first = threads.get(message.subject)
        if first is None:
            threads[message.subject] = Node(message)
        else:
            first.children[Node(message)] = None
    return list(threads.values())  # in the order of their oldest


def by_references(messages: Sequence[Threadable]) -> list[Node]:
    """REFERENCES: who answers whom, then threads of one base subject together."""
    roots = _pruned([node for node in _linked(messages) if node.parent is None])  # 1, 2, 3
    for root in roots:  # 4
        if root.message is None:
            _sort(root)
    roots.sort(key=lambda node: node.age)
    roots = _gathered(roots)  # 5
    for node in reversed(_walk(roots)):  # 6: the youngest siblings first
        _sort(node)
    roots.sort(key=lambda node: node.age)
    return roots


def by_references_alone(messages: Sequence[Threadable]) -> list[Node]:
    """REFS (draft-ietf-morg-inthread): steps 1 to 3 and 6 of REFERENCES. Subjects say nothing, and
    a new message makes its thread the last one: threads are sorted by their newest INTERNALDATE.
    """
    roots = _pruned([node for node in _linked(messages) if node.parent is None])
    nodes = _walk(roots)
    newest: dict[Node, tuple[int, int]] = {}
    for node in reversed(nodes):
        _sort(node)
        own = node.message
        dates = [] if own is None else [(own.received_ms, own.number)]
        newest[node] = max(dates + [newest[child] for child in node.children])
    return sorted(roots, key=newest.__getitem__)


def _linked(messages: Iterable[Threadable]) -> list[Node]:
    """Step 1: every message and every dummy, linked by references."""
    nodes: list[Node] = []
    by_id: dict[str, Node] = {}

    def named(message_id: str) -> Node:
        node = by_id.get(message_id)
        if node is None:
            node = by_id[message_id] = Node()
            nodes.append(node)
        return node

    for message in messages:
        known = None if message.message_id is None else by_id.get(message.message_id)
        if known is not None and known.message is None:
            node = known
            node.message = message
        else:  # its id is new, or there is none that is its own
            node = Node(message)
            nodes.append(node)
            if known is None and message.message_id is not None:
                by_id[message.message_id] = node
        before: Node | None = None
        for reference in message.references[-REFERENCES_MAX:]:
            following = named(reference)
            if before is not None and following.parent is None:
                _link(before, following)
            before = following
        if node.parent is not None:
            del node.parent.children[node]
            node.parent = None
        if before is not None:
            _link(before, node)
    return nodes


def _link(parent: Node, child: Node) -> None:
    """Make one the child of the other, unless that made a loop, or too deep a thread."""
    above: Node | None = parent
    for _ in range(DEPTH_MAX):
        if above is None:
            child.parent = parent
            parent.children[child] = None
            return
        if above is child:
            return
        above = above.parent


def _pruned(roots: list[Node]) -> list[Node]:
    """Step 3: dummies go, and what was below them takes their place; at the top one child only."""
    for node in reversed(_walk(roots)):
        node.children = _without_dummies(node.children)
    kept: list[Node] = []
    for root in roots:
        if root.message is None and len(root.children) < 2:
            kept += root.children
        else:
            kept.append(root)
    return kept


def _without_dummies(children: Iterable[Node]) -> dict[Node, None]:
    kept: dict[Node, None] = {}
    for child in children:
        kept |= child.children if child.message is None else {child: None}
    return kept


def _sort(node: Node) -> None:
    node.children = dict.fromkeys(sorted(node.children, key=lambda child: child.age))


def _walk(roots: Iterable[Node]) -> list[Node]:
    """Every node, parents before their children."""
    found = list(roots)
    for node in found:
        found += node.children
    return found


def _gathered(roots: list[Node]) -> list[Node]:
    """Step 5: threads with the same base subject become one."""
    table: dict[str, Node] = {}
    for root in roots:
        subject = root.shown.subject
        held = table.get(subject)
        if subject and (held is None or _speaks_for(root, held)):
            table[subject] = root
    kept: dict[Node, None] = dict.fromkeys(roots)
    for root in roots:
        subject = root.shown.subject
        held = table.get(subject)
        if held is None or held is root:
            continue
        del kept[root]
        if held.message is None and root.message is None:
            held.children |= root.children
        elif held.message is None or (_is_reply(root) and not _is_reply(held)):
            held.children[root] = None
        else:
            del kept[held]
            table[subject] = Node(children={held: None, root: None})
            kept[table[subject]] = None
    return list(kept)


def _speaks_for(root: Node, held: Node) -> bool:
    """Step 5 B iv: whether `root` takes the place of `held` in the table of subjects."""
    if held.message is None:
        return False
    return root.message is None or (_is_reply(held) and not _is_reply(root))


def _is_reply(node: Node) -> bool:
    return node.message is not None and node.message.is_reply


def render_threads(roots: Iterable[Node]) -> bytes:
    """RFC 5256 5 thread-lists, without spaces between them."""
    told: list[bytes] = []
    left: list[Node | bytes] = [*roots]
    left.reverse()
    while left:
        node = left.pop()
        if isinstance(node, bytes):
            told.append(node)
            continue
        told.append(b"(")
        gap = b""
        while True:
            if node.message is not None:
                told.append(b"%b%d" % (gap, node.message.number))
                gap = b" "
            if len(node.children) != 1:
                break
            node = next(iter(node.children))
        if node.children:
            told.append(gap)
        left.append(b")")
        left += reversed(node.children)
    return b"".join(told)
