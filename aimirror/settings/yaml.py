"""YAML files, by ruamel.yaml, which keeps comments, quotes and order.

It is imported where it is used: a service, which reads the worlds too, writes no settings.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aimirror.settings.merging import Merge

if TYPE_CHECKING:
    from ruamel.yaml import YAML

_LIST = re.compile(r"^( *)[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\n(?:[ \t]*(?:#[^\n]*)?\n)*( *)- ", re.M)


def edited(change: Callable[[Any], None]) -> Merge:
    """What ``change`` makes of a mapping, which it gets as a mutable one."""

    def merge(before: str | None) -> str:
        from ruamel.yaml.comments import CommentedMap
        from ruamel.yaml.error import YAMLError

        yaml = _yaml(before or "")
        try:
            document = yaml.load(before or "")
        except YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f" in line {mark.line + 1}" if mark is not None else ""
            raise ValueError(f"it is no YAML{where}") from None
        document = CommentedMap() if document is None else document
        if not isinstance(document, CommentedMap):
            raise ValueError("it holds no mapping")
        old = _plain(before or "") or {}
        change(document)
        stream = io.StringIO()
        yaml.dump(document, stream)
        text = stream.getvalue()
        if before is not None and document_is_empty(before):
            text = before + text  # comments alone
        return before if before is not None and _plain(text) == old else text

    return merge


def document_is_empty(text: str) -> bool:
    """Whether a text has comments at most."""
    return _plain(text) is None


def mapping(document: Any, key: str) -> Any:
    """The mapping of a key, made when there is none; ValueError for another value."""
    value = document.get(key)
    if value is None:
        value = document[key] = {}
    if not isinstance(value, dict):
        raise ValueError(f"{key} is no mapping")
    return value


def listed(document: Any, key: str) -> Any:
    """The list of a key, made when there is none; a single value becomes a list."""
    value = document.get(key)
    if value is None:
        document[key] = []
    elif not isinstance(value, list):
        document[key] = [value]
    return document[key]


def _plain(text: str) -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)


def _yaml(text: str) -> YAML:
    """A reader and writer that indents lists as the file does."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt", pure=True)
    yaml.preserve_quotes = True
    yaml.width = 1 << 20
    match = _LIST.search(text)
    offset = max(0, len(match[2]) - len(match[1])) if match else 2
    yaml.indent(mapping=2, sequence=offset + 2, offset=offset)
    yaml.explicit_start = text.startswith("---")
    return yaml
