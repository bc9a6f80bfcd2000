"""Each fault has its Reason."""

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet import error
from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import RequestTransmissionFailed, ResponseFailed, ResponseNeverReceived

from aimirror.download.tasks import Reason
from aimirror.interfaces import UpstreamError
from aimirror.upstream.errors import explain


def never(*causes: BaseException) -> ResponseNeverReceived:
    return ResponseNeverReceived([Failure(cause) for cause in causes])


def midway(*causes: BaseException) -> ResponseFailed:
    return ResponseFailed([Failure(cause) for cause in causes], object())


class ExplainTests(SynchronousTestCase):
    def test_table(self) -> None:
        """Wrapped or not, the cause decides."""
        verify = SSL.Error([("SSL routines", "", "certificate verify failed")])
        silent = UpstreamError(Reason.SILENT)
        for fault, reason in (
            (silent, Reason.SILENT),
            (never(silent), Reason.SILENT),
            (never(never(silent)), Reason.SILENT),
            (CancelledError(), Reason.CANCELLED),
            (never(CancelledError()), Reason.CANCELLED),
            (error.ConnectingCancelledError(None), Reason.CANCELLED),
            (error.DNSLookupError(), Reason.RESOLVE),
            (error.ConnectionRefusedError(), Reason.CONNECT),
            (error.TimeoutError(), Reason.CONNECT),
            (error.NoRouteError(), Reason.CONNECT),
            (verify, Reason.TLS),
            (never(verify), Reason.TLS),
            (VerificationError([]), Reason.TLS),
            (never(error.ConnectionDone()), Reason.RESET),
            (never(error.ConnectionLost()), Reason.RESET),
            (RequestTransmissionFailed([Failure(error.ConnectionLost())]), Reason.RESET),
            (midway(error.ConnectionDone()), Reason.SHORT),
            (midway(error.ConnectionLost()), Reason.RESET),
            (midway(ValueError("Chunk did not end with CRLF")), Reason.PROTOCOL),
            (Exception("?"), Reason.PROTOCOL),
            (None, Reason.PROTOCOL),
        ):
            self.assertIs(explain(fault).reason, reason, fault)

    def test_tls_words(self) -> None:
        """A TLS failure is told in OpenSSL's words."""
        verify = SSL.Error([("SSL routines", "", "certificate verify failed")])
        self.assertEqual(explain(never(verify)).detail, "certificate verify failed")

    def test_nothing_quoted(self) -> None:
        """An unknown exception's text, which may hold a URL, is not passed on."""
        self.assertNotIn("secret", str(explain(Exception("http://h/?sig=secret"))))
