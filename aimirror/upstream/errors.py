"""What went wrong on the way to an upstream, in the few Reasons that others know."""

from __future__ import annotations

from collections.abc import Iterator

from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from twisted.internet.defer import CancelledError
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionDone,
    ConnectionLost,
    DNSLookupError,
)
from twisted.python.failure import Failure
from twisted.web.client import RequestGenerationFailed, ResponseFailed

from aimirror.download.tasks import Reason
from aimirror.interfaces import UpstreamError

#: What is said of a server that has no older protocol.
HTTP2_ONLY = "it speaks HTTP/2 alone, and the mirror HTTP/1.1"

#: The first row that one of the causes matches decides.
_REASONS: tuple[tuple[tuple[type[BaseException], ...], Reason, str], ...] = (
    ((CancelledError, ConnectingCancelledError), Reason.CANCELLED, ""),
    ((VerificationError, CertificateError), Reason.TLS, "the certificate is for another host"),
    ((DNSLookupError,), Reason.RESOLVE, ""),
    ((ConnectError,), Reason.CONNECT, ""),
)


def explain(error: BaseException | None) -> UpstreamError:
    """The UpstreamError that stands for ``error``, whatever Twisted wrapped around it.

    Details come from a fixed set of words and OpenSSL's own; no URL, field or body is quoted.
    """
    causes = [] if error is None else list(_causes(error))
    for cause in causes:
        if isinstance(cause, UpstreamError):
            return cause
    for kinds, reason, detail in _REASONS:
        for cause in causes:
            if isinstance(cause, kinds):
                return UpstreamError(reason, detail or _words(cause))
    for cause in causes:
        if isinstance(cause, SSL.Error):
            return UpstreamError(Reason.TLS, tls_words(cause))
    return _broken_off(error, causes)


def _broken_off(error: BaseException | None, causes: list[BaseException]) -> UpstreamError:
    """Why an exchange that had begun did not end well."""
    if isinstance(error, RequestGenerationFailed):
        return UpstreamError(Reason.CANCELLED, "the request body broke off")
    strange = [
        c for c in causes if isinstance(c, (ValueError, RuntimeError, TypeError, LookupError))
    ]
    if strange:  # chunked framing is checked by Twisted, which raises ValueErrors
        return UpstreamError(Reason.PROTOCOL, "the body's framing is malformed")
    in_body = isinstance(error, ResponseFailed) and error.response is not None
    if in_body and any(isinstance(cause, ConnectionDone) for cause in causes):
        return UpstreamError(Reason.SHORT)
    if any(isinstance(cause, (ConnectionDone, ConnectionLost)) for cause in causes):
        return UpstreamError(Reason.RESET, "" if in_body else "before the response")
    return UpstreamError(Reason.PROTOCOL, type(error).__name__)


def tls_words(error: SSL.Error) -> str:
    """OpenSSL's own words for a failure, such as "certificate verify failed"."""
    queue = error.args[0] if error.args else None
    if isinstance(queue, list):
        words = "; ".join(str(entry[-1]) for entry in queue if entry)
        return HTTP2_ONLY if "no application protocol" in words else words
    return "the handshake broke off"


def _words(cause: BaseException) -> str:
    first = str(cause).partition("\n")[0]
    return first.rstrip(".") or type(cause).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """``error`` and, for Twisted's wrappers, all that they hold, outermost first."""
    yield error
    for reason in getattr(error, "reasons", ()):
        if isinstance(reason, Failure) and reason.value is not None:
            yield from _causes(reason.value)
