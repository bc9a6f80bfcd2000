"""JSON files, with the indent and the order of their members kept."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aimirror.http.json_text import parse_json
from aimirror.settings.merging import Merge


def edited(change: Callable[[dict[str, Any]], None]) -> Merge:
    """What ``change`` makes of an object, which it gets as a mutable mapping."""

    def merge(before: str | None) -> str:
        text = before or ""
        try:
            value = parse_json(text) if text.strip() else {}
        except ValueError as error:
            raise ValueError(f"it is no JSON: {error}") from None
        if not isinstance(value, dict):
            raise ValueError("it holds no JSON object")
        new = copy.deepcopy(value)
        change(new)
        if before is not None and new == value:
            return before
        match = re.search(r"^([ \t]+)\"", text, re.MULTILINE)
        return json.dumps(new, indent=match[1] if match else 2, ensure_ascii=False) + "\n"

    return merge


def lists(members: Mapping[str, Iterable[str]]) -> Merge:
    """Have the given texts at the head of the lists of an object's members."""
    wanted = {name: list(texts) for name, texts in members.items()}

    def change(document: dict[str, Any]) -> None:
        for name, texts in wanted.items():
            old = document.get(name) or []
            if not isinstance(old, list):
                raise ValueError(f"{name!r} is no list in it")
            document[name] = [*texts, *(each for each in old if each not in texts)]

    return edited(change)
