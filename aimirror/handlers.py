"""What a custom handler works with: ``exec_path(request, full_path, config, http_client)``.

A handler is a module beside the configuration file, ``handlers/custom.py`` for the rule key
``handler: handlers.custom``.  Its ``exec_path`` is awaited with these objects, whose shape is that
of FastAPI's Request and Response and of httpx's AsyncClient, and returns ``(handled, response)``.
It runs in the mirror's reactor: it may await what these objects give, and must not block.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from attrs import field, frozen

from aimirror.http.headers import Headers
from aimirror.http.json_text import parse_json


class Fields(Mapping[str, str]):
    """Header fields by name, without regard to case."""

    def __init__(self, headers: Headers) -> None:
        self._headers = headers

    def __getitem__(self, name: str) -> str:
        value = self._headers.joined(name)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.lower() for name, _ in self._headers))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in self._headers


@frozen
class URL:
    """A URL whose text is ``str(url)``."""

    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def path(self) -> str:
        """Its raw path."""
        return urlsplit(self.text).path

    @property
    def query(self) -> str:
        """Its raw query, "" without one."""
        return urlsplit(self.text).query


@frozen
class Request:
    """What a client asked."""

    method: str
    url: URL
    headers: Fields
    _read: Callable[[], Awaitable[bytes]]

    @property
    def query_params(self) -> dict[str, str]:
        """The query, decoded; of a repeated name the last value."""
        return dict(parse_qsl(self.url.query, keep_blank_values=True))

    async def body(self) -> bytes:
        """The whole body.  Who has read it must answer: it can't be passed on any more."""
        return await self._read()

    async def json(self) -> Any:
        """The body as JSON; ValueError when it is none."""
        return parse_json(await self._read())


def _as_bytes(content: str | bytes | None) -> bytes:
    return content.encode() if isinstance(content, str) else content or b""


@frozen
class Response:
    """What a handler answers; text is sent as UTF-8."""

    content: bytes = field(default=b"", converter=_as_bytes)
    status_code: int = 200
    headers: Mapping[str, str] | None = None
    media_type: str | None = None


@frozen
class Fetched:
    """What an upstream answered to a handler."""

    status_code: int
    headers: Fields
    content: bytes
    url: str

    @property
    def text(self) -> str:
        """The body as UTF-8 text."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON; ValueError when it is none."""
        return parse_json(self.content)

    def raise_for_status(self) -> Fetched:
        """Itself; ValueError when the upstream answered with an error."""
        if self.status_code >= 400:
            raise ValueError(f"{self.url.partition('?')[0]} answered {self.status_code}")
        return self
