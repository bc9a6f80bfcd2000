"""Files of certificates: what can be used, and what is used once they have changed."""

from __future__ import annotations

from pathlib import Path

from OpenSSL import crypto
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.tasks import Reason
from aimirror.http.egress import Trust
from aimirror.interfaces import UpstreamError
from aimirror.upstream.trust import BadTrust, Policies, check
from tests.upstream.test_tls import certificate

OWN, PEM = certificate("mirror")
KEY = OWN.privateKey.dump(crypto.FILETYPE_PEM)


class TrustCase(SynchronousTestCase):
    def kept(self, data: bytes) -> str:
        path = Path(self.mktemp())
        path.write_bytes(data)
        return str(path)


class CheckTests(TrustCase):
    def problem(self, trust: Trust) -> tuple[str, str]:
        with self.assertRaises(BadTrust) as caught:
            check(trust)
        return caught.exception.file, str(caught.exception)

    def test_good(self) -> None:
        """Certificates, also several in one file; a certificate and its key."""
        check(Trust((self.kept(PEM + PEM),), self.kept(PEM), self.kept(KEY)))
        check(Trust((), self.kept(KEY + PEM)))

    def test_bad(self) -> None:
        """Each problem names its file."""
        pem, empty = self.kept(PEM), self.kept(b"no PEM")
        damaged = self.kept(PEM[:60] + b"\0\0" + PEM[62:])
        foreign = self.kept(certificate("other")[0].privateKey.dump(crypto.FILETYPE_PEM))
        for trust, file, why in (
            (Trust((pem, "/nowhere")), "/nowhere", "can't be read"),
            (Trust((empty,)), empty, "no certificate"),
            (Trust((damaged,)), damaged, "damaged"),
            (Trust((), pem), pem, "no key"),
            (Trust((), pem, foreign), foreign, "no key of the certificate"),
            (Trust((), pem, "/nowhere"), "/nowhere", "can't be read"),
        ):
            name, text = self.problem(trust)
            self.assertEqual(name, file)
            self.assertIn(why, text)


class PoliciesTests(TrustCase):
    def test_kept(self) -> None:
        """The same files are read once; changed ones again."""
        name = self.kept(PEM)
        policies = Policies()
        first = policies.policy(Trust((name,)))
        self.assertIs(policies.policy(Trust((name,))), first)
        Path(name).write_bytes(PEM + PEM)
        self.assertIsNot(policies.policy(Trust((name,))), first)

    def test_spoilt(self) -> None:
        """Files that can't be used any more leave the last good ones in place."""
        name = self.kept(PEM)
        policies = Policies()
        first = policies.policy(Trust((name,)))
        Path(name).write_bytes(b"")
        self.assertIs(policies.policy(Trust((name,))), first)

    def test_never_good(self) -> None:
        """Without good ones the failure is TLS, and names the file but not where it lies."""
        with self.assertRaises(UpstreamError) as caught:
            Policies().policy(Trust(("/secret-folder/ca.pem",)))
        self.assertIs(caught.exception.reason, Reason.TLS)
        self.assertIn("ca.pem", caught.exception.detail)
        self.assertNotIn("secret-folder", caught.exception.detail)
