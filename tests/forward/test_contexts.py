"""TLS contexts that change with their files, and with time."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.forward.authority import make, now
from aimirror.forward.contexts import (
    LOOK_EVERY,
    MAX_LEAVES,
    RENEWED,
    BadCertificate,
    FileContexts,
    LeafContexts,
)

NOW = now()
AUTHORITY = make(["example"], NOW)


def shown(connection: SSL.Connection) -> x509.Certificate:
    """The certificate that a server's connection shows to a client, by a handshake in memory."""
    client = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
    client.set_connect_state()
    connection.set_accept_state()
    for _ in range(4):
        for one, other in ((client, connection), (connection, client)):
            with contextlib.suppress(SSL.WantReadError):
                one.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(1 << 16))
    found = client.get_peer_certificate()
    assert found is not None
    return found.to_cryptography()


class FileContextsTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.clock = Clock()
        self.stamp = 0

    def write(self, host: str) -> x509.Certificate:
        leaf = AUTHORITY.leaf(host, NOW)
        self.cert.write_bytes(leaf.certificate.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(
            leaf.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        self.touch()
        return leaf.certificate

    def touch(self) -> None:
        self.stamp += 1
        for file in (self.cert, self.key):
            os.utime(file, (self.stamp, self.stamp))

    def contexts(self) -> FileContexts:
        return FileContexts(self.cert, self.key, self.clock.seconds)

    def test_changed(self) -> None:
        """New files are in use soon, for new connections."""
        first = self.write("a.example")
        made = self.contexts()
        self.assertEqual(shown(made.serverConnectionForTLS(None)), first)
        second = self.write("b.example")
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(shown(made.serverConnectionForTLS(None)), second)

    def test_forward_secrecy(self) -> None:
        """No key exchange by RSA, and no CBC, which a client could still ask for in TLS 1.2."""
        self.write("a.example")
        made = self.contexts()
        connection = made.serverConnectionForTLS(None)
        for name in connection.get_cipher_list():
            self.assertTrue(name.startswith(("ECDHE-", "TLS_")), name)
            self.assertTrue("GCM" in name or "CHACHA20" in name, name)

    def test_spoilt(self) -> None:
        """Files that can't be used leave the former ones in place, and are told."""
        first = self.write("a.example")
        made = self.contexts()
        self.key.write_bytes(b"x")
        self.touch()
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(shown(made.serverConnectionForTLS(None)), first)
        second = self.write("b.example")
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(shown(made.serverConnectionForTLS(None)), second)

    def test_mistakes(self) -> None:
        """At the start files that can't be used are an error that names them."""
        self.assertRaises(BadCertificate, self.contexts)
        self.write("a.example")
        self.key.write_bytes(AUTHORITY.key_pem())
        with self.assertRaises(BadCertificate) as caught:
            self.contexts()
        self.assertIn(str(self.key), str(caught.exception))
        self.cert.write_bytes(b"")
        self.assertRaises(BadCertificate, self.contexts)


class LeafContextsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = NOW
        self.made = LeafContexts(AUTHORITY, lambda: self.now)

    def leaf(self, host: str) -> x509.Certificate:
        return shown(self.made.creator(host).serverConnectionForTLS(None))

    def test_kept(self) -> None:
        """A host keeps its leaf until half of its life is over."""
        first = self.leaf("a.example")
        self.assertNotEqual(self.leaf("b.example"), first)
        self.assertEqual(self.leaf("a.example"), first)
        self.now += RENEWED
        self.assertNotEqual(self.leaf("a.example"), first)

    def test_bounded(self) -> None:
        """So many leaves are kept, and no more."""
        first = self.leaf("a.example")
        for number in range(MAX_LEAVES):
            self.made.creator(f"h{number}.example")
        self.assertNotEqual(self.leaf("a.example"), first)

    def test_covers(self) -> None:
        """As the authority says."""
        self.assertTrue(self.made.covers("a.example"))
        self.assertFalse(self.made.covers("a.other"))
