"""A YAML document as plain values, in bounded time and memory; the only importer of yaml."""

from __future__ import annotations

from typing import Any

import yaml

from aimirror.config.errors import ConfigError

#: Bytes of a configuration file; thousands of rules fit.
MAX_BYTES = 1 << 20
#: Levels of nesting; the schema has six.
MAX_DEPTH = 32
#: Values once every alias is written out, which bounds alias bombs.
MAX_VALUES = 50_000


def parse(content: bytes, file: str) -> object:
    """The value of the single document in ``content``, of YAML's safe types.

    Raises ConfigError naming ``file``, the line and the column.
    """
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{file}: longer than the {MAX_BYTES} bytes that are allowed")
    try:
        loader = _Loader(content.decode("utf-8-sig"))
        try:
            value: object = loader.get_single_data()
        finally:
            loader.dispose()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 at byte {error.start}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{file}{where}: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        raise ConfigError(f"{file}: {error.reason} at character {error.position}") from None
    except (ValueError, LookupError, AttributeError):
        # what PyYAML lets escape for an explicit tag that its text does not fit (!!int x)
        raise ConfigError(f"{file}: a value does not fit its YAML tag") from None
    return value


def parse_own(content: bytes) -> Any:
    """The value of a document that comes with the program, without the bounds: far sooner."""
    return yaml.load(content, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def dump(value: object) -> str:
    """Plain values as YAML text, every alias written out."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text


class _Dumper(yaml.SafeDumper):
    """The safe dumper, without anchors: readers want to see each rule in full."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


class _Loader(yaml.SafeLoader):
    """The safe loader, with bounds, that refuses keys written twice."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._weights: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self._depth == MAX_DEPTH:
            raise yaml.MarkedYAMLError(None, None, f"nested deeper than {MAX_DEPTH} levels", mark)
        alias = self.check_event(yaml.AliasEvent)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if not alias:
            self._weights[id(node)] = 1 + sum(self._weights[id(c)] for c in _children(node))
        elif id(node) not in self._weights:  # the value that the alias names has not ended yet
            raise yaml.MarkedYAMLError(None, None, "a value that contains itself", mark)
        if self._weights[id(node)] > MAX_VALUES:
            raise yaml.MarkedYAMLError(None, None, f"more than {MAX_VALUES} values", mark)
        return node

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _value in node.value if node is not None else ():
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    problem = f"the key {key.value!r} is written twice"
                    raise yaml.MarkedYAMLError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return node


def _children(node: yaml.Node | None) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
