"""YAML that is what it looks like: no key twice, no alias that multiplies or holds itself, no bottomless nesting."""

from typing import Any

import yaml

DEEPEST = 100
"""Lists and mappings inside one another; more is no configuration."""
MOST = 100_000
"""Values that aliases may add to those that are written."""
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""As safe as the one in Python and ten times as fast."""


class Refused(yaml.YAMLError):
    """A file that YAML allows and that is a mistake, or an attack."""


def load(text: str) -> Any:
    """Reads YAML.

    Raises:
        yaml.YAMLError: It is none, or is refused; one line says why and where.
    """
    _check_depth(text)
    loader = Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        written: dict[int, int] = {}
        if _size(node, written, set()) > len(written) + MOST:
            raise Refused(f"its aliases (*name) make more than {MOST:,} values of {len(written)}")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _check_depth(text: str) -> None:
    """Looks at the events, one after another: whatever builds a tree calls itself for each level."""
    deep = 0
    for event in yaml.parse(text, Loader=Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            deep += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            deep -= 1
        if deep > DEEPEST and event.start_mark:
            raise Refused(f"line {event.start_mark.line + 1}: nested more than {DEEPEST} deep")


def _size(node: yaml.Node, written: dict[int, int], above: set[int]) -> int:
    """Number of values, those behind aliases once for each use."""
    if id(node) in above:
        raise Refused(f"line {node.start_mark.line + 1}: an alias stands inside of what it names")
    if id(node) not in written:
        within = above | {id(node)}
        size = 1
        if isinstance(node, yaml.SequenceNode):
            size += sum(_size(part, written, within) for part in node.value)
        elif isinstance(node, yaml.MappingNode):
            _check_keys(node)
            size += sum(_size(part, written, within) for pair in node.value for part in pair)
        written[id(node)] = size
    return written[id(node)]


def _check_keys(node: yaml.MappingNode) -> None:
    lines: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
            continue
        line = key.start_mark.line + 1
        if key.value in lines:
            first = lines[key.value]
            where = f"line {line}" if first == line else f"line {first} and line {line}"
            raise Refused(f"key {key.value!r} stands twice, in {where}; keep one of them")
        lines[key.value] = line
