"""Reads what requests to the API say: queries and JSON bodies, in bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aimirror.http.json_text import parse_json
from aimirror.server.head import BadRequest

if TYPE_CHECKING:
    from aimirror.server.short_bodies import gathered
from aimirror.server.request import MirrorRequest
from aimirror.server.short_bodies import gathered

#: Bytes of a body: lock files of large projects have a few megabytes.
MAX_BODY = 16 << 20


class Words:
    """Named values; each method raises BadRequest for one that does not fit."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def text(self, name: str, default: str = "") -> str:
        """A text."""
        value = self._values.get(name, default)
        if not isinstance(value, str):
            raise BadRequest(400, f"{name}: text is wanted")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts, or one."""
        value = self._values.get(name, [])
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise BadRequest(400, f"{name}: a list of texts is wanted")
        return tuple(value)

    def flag(self, name: str) -> bool | None:
        """True, false, or None when it is absent."""
        value = self._values.get(name)
        if isinstance(value, str):
            value = {"true": True, "1": True, "false": False, "0": False}.get(value, value)
        if value is not None and not isinstance(value, bool):
            raise BadRequest(400, f"{name}: true or false is wanted")
        return value

    def number(self, name: str) -> float | None:
        """A number from 0 on, or None when it is absent."""
        value = self._values.get(name)
        if value is None or value == "":
            return None
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = -1.0
        if not 0 <= number < 1e15:
            raise BadRequest(400, f"{name}: a number from 0 on is wanted")
        return number


def query_of(request: MirrorRequest) -> Words:
    """The query's words; of repeated ones the last counts."""
    try:
        return Words(dict(parse_qsl(request.raw_query or "", max_num_fields=50)))
    except ValueError:
        raise BadRequest(400, "too many words in the query") from None


async def body_of(request: MirrorRequest) -> Words:
    """The words of a JSON body; none without a body.  Raises BadRequest."""
    if request.body is None:
        return Words({})
    data = await gathered(request.body, MAX_BODY)
    try:
        value = parse_json(data or b"{}")
    except ValueError:
        raise BadRequest(400, "the body is no JSON") from None
    if not isinstance(value, dict):
        raise BadRequest(400, "the body is no JSON object")
    return Words(value)
