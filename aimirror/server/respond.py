"""Gives a request its answer: shapes it, sends its head, streams its body."""

from __future__ import annotations

import secrets

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET

from aimirror.download.tasks import Reason
from aimirror.http.headers import Headers
from aimirror.interfaces import BodyFailed, IBodyReader
from aimirror.server.answers import Answer, Shape, Streamed, body_size, shape, unsatisfied
from aimirror.server.errors import error_answer, failure_answer
from aimirror.server.gone import ClientGone
from aimirror.server.head import BadRequest
from aimirror.server.request import Handler, MirrorRequest
from aimirror.server.streaming import CutShort, copy

#: Failures of a body after which the same request may go well: other bytes, another version,
#: no use of the disk.  After those left out, the upstream was given its chances.
_WORTH_ANOTHER_TRY = frozenset(
    {Reason.CHANGED, Reason.DISK, Reason.DISK_FULL, Reason.RESET, Reason.SHORT}
)

_log = Logger()


class HandlerResource(Resource):
    """A resource that answers all below its place as a handler says.

    The handler is cancelled when the client leaves before it has answered.
    """

    isLeaf = True

    def __init__(self, handler: Handler) -> None:
        super().__init__()
        self._handler = handler

    def render(self, request: MirrorRequest) -> int:
        """Start the handler."""
        serve(request, self._handler)
        return NOT_DONE_YET


def render(request: MirrorRequest, resource: IResource) -> None:
    """Let a resource answer; what it returns is sent, what it raises is a 500."""
    try:
        body = resource.render(request)
    except Exception:
        fail(request, Failure())
        return
    if body is not NOT_DONE_YET:
        request.reply(request.code, request.given_headers(), body)


def fail(request: MirrorRequest, failure: Failure) -> None:
    """Something here went wrong: say so if that is possible still, else cut the answer."""
    _log.failure(
        "answering {id} {method} {path}",
        failure,
        id=request.id,
        method=request.method,
        path=request.path,
    )
    if request.startedWriting:
        request.abort()
    else:
        broken = error_answer(500, "a fault in the mirror", "its log has the details")
        serve(request, _constant(broken))


def serve(request: MirrorRequest, handler: Handler) -> None:
    """Answer a request as ``handler`` says; whatever it raises ends in an answer or a cut."""
    running = Deferred.fromCoroutine(_serve(request, handler))
    running.addErrback(lambda failure: _failed(request, failure))
    if not running.called:
        request.running = running


async def _serve(request: MirrorRequest, handler: Handler) -> None:
    """Answer; once more where a body failed of which the client has seen nothing yet."""
    try:
        await _answer(request, handler)
    except BodyFailed as failed:
        if request.gone or request.startedWriting:
            raise
        if failed.reason not in _WORTH_ANOTHER_TRY or request.head.method not in ("GET", "HEAD"):
            await respond(request, failure_answer(failed.reason, str(failed)))
            return
        try:
            await _answer(request, handler)
        except BodyFailed as again:
            if request.gone or request.startedWriting:
                raise
            await respond(request, failure_answer(again.reason, str(again)))


async def _answer(request: MirrorRequest, handler: Handler) -> None:
    answer = await handler(request)
    if answer is not None:
        await respond(request, answer)


def _failed(request: MirrorRequest, failure: Failure) -> None:
    if failure.check(ClientGone) or (request.gone and failure.check(CancelledError)):
        return
    bad = failure.check(BadRequest)
    if bad is not None and not request.startedWriting:
        refused: BadRequest = failure.value  # type: ignore[assignment]
        serve(request, _constant(error_answer(refused.status, refused.detail)))
        return
    fail(request, failure)


def _constant(answer: Answer) -> Handler:
    async def handler(_: MirrorRequest) -> Answer:
        return answer

    return handler


async def respond(request: MirrorRequest, answer: Answer) -> None:
    """Send an answer as the request's method, conditions and ranges want it.

    Returns when the last byte was handed over, or when the connection was cut because the body
    failed; raises BodyFailed when it failed before anything was sent.  Cancelling closes the
    body's readers.
    """
    request.why = answer.why
    if isinstance(answer.body, Streamed):
        await answer.body.send(request, answer)
        return
    boundary = secrets.token_hex(16) if "range" in request.headers else ""
    shaped = shape(answer, request.head.method, request.headers, boundary)
    if isinstance(shaped, int):
        await respond(request, _shaped_error(shaped, answer))
        return
    if not shaped.parts or isinstance(answer.body, bytes):
        data = b"".join(part for part in shaped.parts if isinstance(part, bytes))
        request.reply(
            shaped.status,
            shaped.headers,
            data,
            length=shaped.length,
            added=shaped.added,
            memo_until=answer.memo_until,
            memo_of=(answer.memo_of, *answer.memo_with),
            again=answer.again if answer.again and answer.again.fits(answer) else None,
        )
        return
    await _stream(request, answer, shaped)


def _shaped_error(status: int, answer: Answer) -> Answer:
    size = body_size(answer)
    fields = unsatisfied(size) if status == 416 and size is not None else Headers()
    kept = answer.headers.only("etag", "last-modified", "x-cache", "cache-status", "age")
    detail = "no byte of that range is there" if status == 416 else "a precondition does not hold"
    return error_answer(status, detail=detail, headers=Headers([*fields, *kept]))


async def _stream(request: MirrorRequest, answer: Answer, shaped: Shape) -> None:
    """Send parts of a file; a failure before the first byte is raised, a later one cuts."""
    opened = [await _opened(answer, shaped)]
    try:
        request.start(shaped.status, shaped.headers, shaped.length, shaped.added)
        for part in shaped.parts:
            if isinstance(part, bytes):
                request.write(part)
            else:
                reader = opened.pop() if opened else _reader(answer, part)
                await copy(request, reader)
        if shaped.length is not None and request.sentLength != shaped.length:
            raise CutShort(f"{request.sentLength} of {shaped.length} bytes were sent")
        request.finish()
    except (BodyFailed, CutShort, OSError, EOFError) as failed:
        if not request.gone:
            _log.warn("cut {path}: {problem}", path=request.path, problem=failed)
            request.why = f"cut: {failed}"
            request.abort()
    finally:
        for reader in opened:
            reader.close()


async def _opened(answer: Answer, shaped: Shape) -> IBodyReader:
    """A reader of the first interval, once its first byte is readable."""
    span = next(part for part in shaped.parts if not isinstance(part, bytes))
    reader = _reader(answer, span)
    try:
        while reader.ready() <= 0 and not reader.ended():
            await reader.wait()
    except BaseException:
        reader.close()
        raise
    return reader


def _reader(answer: Answer, span: tuple[int, int | None]) -> IBodyReader:
    body = answer.body
    assert body is not None and not isinstance(body, bytes | Streamed)  # intervals are of files
    return body.reader(*span)
