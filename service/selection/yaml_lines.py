"""YAML → plain values that remember their lines, within bounds, without surprises.

Only what a rules file needs is read: mappings, lists, text, numbers, true and false, with YAML 1.2's idea of which
plain words are which (``NO`` and ``2020-01-01`` are text). Aliases, tags and keys that come twice are refused.
"""

import re
from itertools import zip_longest
from typing import Any

import yaml

MAX_BYTES = 256 * 1024
MAX_DEPTH = 24
MAX_EVENTS = 20_000
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]{0,39}")


class YamlError(Exception):
    """What cannot be read.

    Args:
        line: Line, from 1; 0 where it is about the whole file.
        message: Why.
    """

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


class Lines(dict[str, Any]):
    """A mapping that knows its line, and the line of each key."""

    line: int
    lines: dict[str, int]


class Items(list[Any]):
    """A list that knows its line, and the line of each item."""

    line: int
    lines: list[int]


class _Loader(yaml.SafeLoader):
    """Plain words mean what YAML 1.2's core schema says (10.3.2)."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (the library's own way)


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]{0,14})$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]{1,15}\.[0-9]{0,15}|\.[0-9]{1,15})(?:[eE][-+]?[0-9]{1,3})?$"),
    list("-+.0123456789"),
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""])


def read_yaml(content: bytes) -> Any:
    """Read one document.

    Raises:
        YamlError: It is none, or one that is not read here.
    """
    if len(content) > MAX_BYTES:
        raise YamlError(0, f"the file is larger than {MAX_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise YamlError(content.count(b"\n", 0, error.start) + 1, "this is no UTF-8 text") from None
    try:
        _check_events(text)
        node = yaml.compose(text, _Loader)
        if node is None:
            raise YamlError(0, "the file is empty")
        return _value_of(node, _Loader(""))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(mark.line + 1 if mark else 0, f"this is no YAML: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(line, "this is no YAML: a character that is not allowed") from None
    except (yaml.YAMLError, ValueError, LookupError):
        raise YamlError(0, "this is no YAML") from None


def _check_events(text: str) -> None:
    """Bound depth and length, and refuse aliases, before anything recursive looks at the text."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, yaml.SafeLoader)):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent):
            raise YamlError(line, "aliases (*name) are not read here: use define and use")
        if number > MAX_EVENTS:
            raise YamlError(line, "the file says too much")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise YamlError(line, f"this is nested more than {MAX_DEPTH} deep")


def _value_of(node: yaml.Node, loader: _Loader) -> Any:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
        found = Lines()
        found.line, found.lines = line, {}
        for key_node, value_node in node.value:
            at = key_node.start_mark.line + 1
            key = _value_of(key_node, loader)
            if not isinstance(key, str):
                raise YamlError(at, "a key must be a word")
            if key in found:
                raise YamlError(at, f"the key {quoted(key)} comes twice")
            found[key] = _value_of(value_node, loader)
            found.lines[key] = at
        return found
    if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
        items = Items(_value_of(item, loader) for item in node.value)
        items.line, items.lines = line, [item.start_mark.line + 1 for item in node.value]
        return items
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if isinstance(node, yaml.ScalarNode) and kind in ("str", "int", "float", "bool", "null"):
        return loader.construct_object(node)
    raise YamlError(line, "tags (!name) are not read here")


def quoted(key: str) -> str:
    """Return a key for a message, or a word for it where it is none that a file of rules could mean."""
    return f'"{key}"' if _KEY.fullmatch(key) else "(not shown)"


def line_at(value: Any, place: tuple[str | int, ...]) -> int:
    """Return the line of a place in what :func:`read_yaml` read, as near as it is there.

    Args:
        value: The document.
        place: Keys and indices, as in pydantic's ``loc``: the name of a union's member may stand between them.
    """
    line = getattr(value, "line", 1)
    for step, following in zip_longest(place, place[1:]):
        if isinstance(value, Lines):
            if step not in value or (following != step and following in value) or following == step:
                continue  # the name of a union's member: the key comes next
            line, value = value.lines[str(step)], value[str(step)]
        elif isinstance(value, Items) and isinstance(step, int) and step < len(value):
            line, value = value.lines[step], value[step]
    return line
