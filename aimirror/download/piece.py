"""One piece as HTTP: the request that asks for it and whether an answer may be written.

Everything is decided from the response header, before the first byte is written.
"""

from __future__ import annotations

from attrs import frozen

from aimirror.download.tasks import FetchTask, Reason
from aimirror.http.dates import parse_date
from aimirror.http.headers import Headers
from aimirror.http.ranges import ContentRange, Unsatisfied, parse_content_range
from aimirror.http.validator import Validator

#: Seconds: a Retry-After further ahead than this says no more than this.
LONGEST_RETRY_AFTER = 86_400.0
#: Why a piece is refused that is of another version, or comes from a node with tags of its own.
OTHER_VALIDATOR = "another ETag or Last-Modified"
#: Digits of a Retry-After that are worth parsing.
_MOST_DIGITS = 9


@frozen
class Answer:
    """A response header; ``length`` is the Content-Length in bytes, None where it is unknown."""

    status: int
    headers: Headers
    length: int | None = None


@frozen
class Accepted:
    """The body is ``[task.start, stop)``, with ``stop <= task.stop``."""

    stop: int


@frozen
class Refused:
    """Not a byte of the body may be written."""

    reason: Reason
    detail: str = ""
    status: int = 0
    retry_after: float | None = None


def piece_headers(task: FetchTask) -> Headers:
    """The request's fields: the task's own, one range, its condition, no content coding.

    If-Range makes the upstream send the range only of the version that is being downloaded
    (RFC 9110 section 13.1.5); a coded body would have other offsets than the file.
    """
    condition = task.validator.if_range()
    return (
        task.headers.with_("Range", f"bytes={task.start}-{task.stop - 1}")
        .with_("If-Range", *([condition] if condition else []))
        .with_("Accept-Encoding", "identity")
    )


def judge(task: FetchTask, answer: Answer, now: float) -> Accepted | Refused:
    """Whether ``answer`` is the piece that was asked for; ``now`` is in epoch seconds."""
    if answer.status == 206:
        return _judge_partial(task, answer)
    if answer.status == 200:
        return _judge_whole(task, answer)
    if answer.status == 412:
        return Refused(Reason.CHANGED, "412 Precondition Failed", 412)
    if answer.status == 416:
        return _judge_unsatisfied(task, answer)
    return Refused(
        Reason.STATUS,
        f"status {answer.status}",
        answer.status,
        retry_after(answer.headers.get("Retry-After"), now),
    )


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait by a Retry-After field, None for none or nonsense (RFC 9110 10.2.3)."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:_MOST_DIGITS]), LONGEST_RETRY_AFTER)
    moment = parse_date(value, now)
    if moment is None:
        return None
    return min(max(0.0, moment - now), LONGEST_RETRY_AFTER)


def _judge_partial(task: FetchTask, answer: Answer) -> Accepted | Refused:
    if coded := _coding(answer.headers):
        return Refused(Reason.ENCODED, f"Content-Encoding: {coded}", 206)
    if _media_type(answer.headers) == "multipart/byteranges":
        return Refused(Reason.BAD_RANGE, "multipart/byteranges for one range", 206)
    field = answer.headers.joined("Content-Range")
    content_range = parse_content_range(field) if field is not None else None
    if not isinstance(content_range, ContentRange):
        return Refused(Reason.BAD_RANGE, f"Content-Range: {field}", 206)
    theirs = _validator(answer.headers)
    if content_range.total is not None and content_range.total != task.total:
        same = bool(theirs.etag) and theirs.if_range() == task.validator.if_range()
        reason = Reason.BAD_RANGE if same else Reason.CHANGED
        return Refused(reason, f"size {content_range.total} instead of {task.total}", 206)
    fits = content_range.start == task.start < content_range.stop <= task.stop
    if content_range.total is None or not fits:
        asked = f"[{task.start}, {task.stop}) of {task.total}"
        return Refused(Reason.BAD_RANGE, f"Content-Range: {field} for {asked}", 206)
    if not task.validator.agrees(theirs):
        return Refused(Reason.CHANGED, OTHER_VALIDATOR, 206)
    if answer.length is not None and answer.length != content_range.stop - content_range.start:
        detail = f"Content-Length: {answer.length} contradicts Content-Range: {field}"
        return Refused(Reason.PROTOCOL, detail, 206)
    return Accepted(content_range.stop)


def _judge_whole(task: FetchTask, answer: Answer) -> Refused:
    """A 200 either ignores ranges or says that If-Range did not match: the version tells."""
    theirs = _validator(answer.headers)
    if not task.validator.agrees(theirs):
        return Refused(Reason.CHANGED, OTHER_VALIDATOR, 200)
    if task.validator.if_range() and theirs == Validator():  # a login page, as likely as not
        return Refused(Reason.WHOLE, "200 of unknown version to a range request", 200)
    plain = not _coding(answer.headers)
    if plain and answer.length is not None and answer.length != task.total:
        return Refused(Reason.CHANGED, f"size {answer.length} instead of {task.total}", 200)
    return Refused(Reason.WHOLE, "200 to a range request", 200)


def _judge_unsatisfied(task: FetchTask, answer: Answer) -> Refused:
    content_range = parse_content_range(answer.headers.joined("Content-Range") or "")
    if isinstance(content_range, Unsatisfied) and content_range.total != task.total:
        return Refused(Reason.CHANGED, f"size {content_range.total} instead of {task.total}", 416)
    return Refused(Reason.BAD_RANGE, "416 Range Not Satisfiable", 416)


def _coding(headers: Headers) -> str:
    """The content codings other than identity, "" for none (RFC 9110 section 8.4)."""
    return ", ".join(t for t in headers.tokens("Content-Encoding") if t != "identity")


def _media_type(headers: Headers) -> str:
    return (headers.get("Content-Type") or "").partition(";")[0].strip().lower()


def _validator(headers: Headers) -> Validator:
    return Validator(headers.get("ETag") or "", headers.get("Last-Modified") or "")
