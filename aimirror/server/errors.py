"""Error answers: one line of JSON, for people and programs alike."""

from __future__ import annotations

import json
import math
from http import HTTPStatus

from aimirror.download.tasks import Reason
from aimirror.http.headers import Headers
from aimirror.server.answers import Answer

#: Control characters end where a line ends; nobody needs more of a detail than this.
MAX_DETAIL = 500


def error_answer(
    status: int,
    reason: str = "",
    detail: str = "",
    retry_after: float | None = None,
    headers: Headers | None = None,
) -> Answer:
    """An answer ``{"error": ..., "reason": ..., "detail": ...}``.

    ``error`` is the status phrase; ``reason`` says what kind of thing went wrong and ``detail``
    what exactly, both without credentials.  ``retry_after`` is in seconds; ``headers`` are added.
    """
    body = {"error": phrase(status), "reason": reason or phrase(status)}
    if detail:
        body["detail"] = detail[:MAX_DETAIL]
    fields = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    if retry_after is not None:
        fields.append(("Retry-After", str(max(0, math.ceil(retry_after)))))
    why = f"{body['reason']}: {body['detail']}" if detail else body["reason"]
    kept = Headers([*fields, *(headers or ())])
    return Answer(status=status, headers=kept, body=json.dumps(body).encode() + b"\n", why=why)


#: What a client is told when a file can't be had; 502 for all else.
_STATUS = {
    Reason.SILENT: 504,
    Reason.DISK: 507,
    Reason.DISK_FULL: 507,
    Reason.CANCELLED: 503,
}


def failure_answer(
    reason: Reason, detail: str, retry_after: float | None = None, paused: int = 503
) -> Answer:
    """The answer when an upstream or the disk failed before a byte was sent.

    ``retry_after`` is when an upstream wants to be asked again, in seconds, ``paused`` the status
    by which it has said so.
    """
    status = _STATUS.get(reason, 502) if retry_after is None else paused
    return error_answer(status, reason.value, detail, retry_after)


def phrase(status: int) -> str:
    """The standard phrase of a status code, "" for an unknown one."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
