"""How commands reach the service over TLS."""

from __future__ import annotations

import ssl
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from twisted.trial.unittest import SynchronousTestCase

from aimirror.commands.common import Complaint
from aimirror.commands.link import Link
from aimirror.forward import authority
from aimirror.testing.site import Site


class TlsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.certificate = self.certified("mirror.test")
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.certificate)
        self.site = Site(tls=tls)
        self.site.put("/aimirror/api/jobs", b'{"jobs": []}')
        self.site.start()
        self.addCleanup(self.site.stop)

    def certified(self, host: str) -> Path:
        """A file with a certificate of an authority that nobody knows, and its key."""
        leaf = authority.make([host], authority.now()).leaf(host, authority.now())
        file = self.folder / f"{host}.pem"
        pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        key = leaf.key.private_bytes(pem, form, serialization.NoEncryption())
        file.write_bytes(leaf.certificate.public_bytes(pem) + key)
        return file

    def jobs(self, certificate: Path | None) -> object:
        return Link(f"https://127.0.0.1:{self.site.port}", "", certificate).get("jobs")

    def test_own(self) -> None:
        """The service on this machine is known by its certificate, whatever name it is for."""
        self.assertEqual(self.jobs(self.certificate), {"jobs": []})

    def test_foreign(self) -> None:
        """Another certificate is refused in one line, and so is one that nobody vouches for."""
        for certificate in (self.certified("other.test"), None):
            error = self.assertRaises(Complaint, self.jobs, certificate)
            self.assertIn("certificate verify failed", str(error))

    def test_missing(self) -> None:
        """A certificate that can't be read is named."""
        error = self.assertRaises(Complaint, self.jobs, self.folder / "none.pem")
        self.assertIn("none.pem: No such file", str(error))
