"""What holds of every tree of parts, for tests to check on any message."""

from protocols.mime import structure
from protocols.mime.parts import Part


def check_tree(data: bytes, root: Part) -> None:
    """Offsets in order and within bounds, children inside parents, numbers unique, limits kept."""
    assert (root.header_start >= 0, root.body_end) == (True, len(data))
    seen: set[str] = set()
    jmap_ids: set[tuple[int, str]] = set()
    stack = [(root, 0, 0, len(data), 0)]
    count = 0
    while stack:
        part, scope, start, end, depth = stack.pop()
        count += 1
        assert start <= part.header_start <= part.header_end == part.body_start <= part.body_end
        assert part.body_end <= end
        assert depth <= structure.DEPTH_MAX + 1
        assert part.is_multipart == (part.jmap_id is None)
        if not part.is_multipart:
            assert part.part_id not in seen, part.part_id
            seen.add(part.part_id)
            assert (scope, part.jmap_id) not in jmap_ids
            jmap_ids.add((scope, part.jmap_id or ""))
        assert bool(part.children) == part.is_multipart
        for child in part.children:
            stack.append((child, scope, part.body_start, part.body_end, depth + 1))
        if part.message is not None:
            stack.append((part.message, count, part.body_start, part.body_end, depth + 1))
        for field in structure.headers_of(data, part):
            assert part.header_start <= field.start <= field.end <= part.header_end
    assert count <= 2 * structure.PARTS_MAX + 2
