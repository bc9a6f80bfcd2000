"""JSON that others have written (RFC 8259)."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str | bytes | bytearray) -> Any:
    """The value; ValueError for what is none, and for what is nested too deeply to be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def member(text: str | bytes, *names: str) -> Any:
    """What is at a path of names in a document of others; None where there is nothing.

    For what is only looked for: a document that can't be read has nothing, too.
    """
    try:
        value = parse_json(text)
    except ValueError:
        return None
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def members(text: str | bytes, *names: str) -> dict[str, Any]:
    """The same for an object, empty where there is none."""
    value = member(text, *names)
    return value if isinstance(value, dict) else {}
