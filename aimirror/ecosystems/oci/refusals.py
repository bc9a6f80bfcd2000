"""Refusals as answers."""

from __future__ import annotations

from aimirror.ecosystems.oci.errors import error_body, error_fields
from aimirror.http.headers import Headers
from aimirror.interfaces import IUpstreamResponse
from aimirror.server.answers import Answer


def has_words(response: IUpstreamResponse) -> bool:
    """Whether a refusal that is passed on as it is will tell a client the registry's reason."""
    kind = response.headers.get("content-type") or ""
    return "json" in kind.lower() and response.length is not None and response.length > 2


def error_answer(status: int, code: str, message: str, *more: tuple[str, str]) -> Answer:
    """An error with more fields."""
    fields = Headers([*error_fields(), *more])
    return Answer(status=status, headers=fields, body=error_body(code, message))
