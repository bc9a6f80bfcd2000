"""The local authority and its leaves, judged by OpenSSL as clients do it."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto
from twisted.trial.unittest import SynchronousTestCase

from aimirror.forward import authority
from aimirror.forward.authority import CERTIFICATE, KEY, AuthorityError, load, make, store

NOW = authority.now().replace(microsecond=0)
DAY = timedelta(days=1)


def accepted(root: x509.Certificate, leaf: x509.Certificate) -> bool:
    """Whether OpenSSL builds a chain, constraints included."""
    trusted = crypto.X509Store()
    trusted.add_cert(crypto.X509.from_cryptography(root))
    checking = crypto.X509StoreContext(trusted, crypto.X509.from_cryptography(leaf))
    try:
        checking.verify_certificate()
    except crypto.X509StoreContextError:
        return False
    return True


class LeafTests(SynchronousTestCase):
    def test_chain(self) -> None:
        """Leaves of hosts that the root names, and of what is below, hold; others do not."""
        made = make(["pypi.org", "127.0.0.1"], NOW)
        for host, holds in (
            ("pypi.org", True),
            ("files.pypi.org", True),
            ("127.0.0.1", True),
            ("evil.example", False),
            ("notpypi.org", False),
            ("127.0.0.2", False),
            ("::1", False),
        ):
            leaf = made.leaf(host, NOW).certificate
            self.assertEqual(accepted(made.certificate, leaf), holds, host)
            self.assertEqual(made.covers(host, NOW), holds, host)

    def test_addresses_alone(self) -> None:
        """A root that names no host by name vouches for none."""
        made = make(["127.0.0.1"], NOW)
        self.assertTrue(accepted(made.certificate, made.leaf("127.0.0.1", NOW).certificate))
        self.assertFalse(accepted(made.certificate, made.leaf("a.example", NOW).certificate))

    def test_fields(self) -> None:
        """A leaf is for servers only, can't sign, lives days, and has a key of its own."""
        made = make(["pypi.org"], NOW)
        leaf = made.leaf("pypi.org", NOW)
        fields = leaf.certificate.extensions
        self.assertFalse(fields.get_extension_for_class(x509.BasicConstraints).value.ca)
        usage = fields.get_extension_for_class(x509.ExtendedKeyUsage).value
        self.assertEqual(list(usage), [ExtendedKeyUsageOID.SERVER_AUTH])
        self.assertLess(leaf.certificate.not_valid_after_utc - NOW, 8 * DAY)
        self.assertEqual(leaf.certificate.public_key(), leaf.key.public_key())
        self.assertNotEqual(leaf.key.public_key(), made.certificate.public_key())

    def test_life(self) -> None:
        """No leaf outlives its root, and an expired root covers nothing."""
        made = make(["pypi.org"], NOW, days=3)
        self.assertEqual(made.leaf("pypi.org", NOW).certificate.not_valid_after_utc, NOW + 3 * DAY)
        self.assertFalse(made.covers("pypi.org", NOW + 3 * DAY))

    def test_secrets(self) -> None:
        """No repr shows a key."""
        made = make(["pypi.org"], NOW)
        for value in (made, made.leaf("pypi.org", NOW)):
            self.assertNotIn("PrivateKey", repr(value))


class FolderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.made = make(["pypi.org"], NOW)

    def test_round_trip(self) -> None:
        """What is stored is what is loaded, and the key is its owner's alone."""
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        store(self.made, self.folder)
        self.assertEqual((self.folder / KEY).stat().st_mode & 0o777, 0o600)
        loaded = load(self.folder)
        self.assertEqual(loaded.fingerprint, self.made.fingerprint)
        self.assertEqual(loaded.key_pem(), self.made.key_pem())
        self.assertEqual(loaded.hosts, ("pypi.org",))

    def test_kept(self) -> None:
        """An authority that clients trust is not replaced by accident."""
        store(self.made, self.folder)
        other = make(["pypi.org"], NOW)
        self.assertRaises(AuthorityError, store, other, self.folder)
        self.assertEqual(load(self.folder).fingerprint, self.made.fingerprint)
        store(other, self.folder, replace=True)
        self.assertEqual(load(self.folder).fingerprint, other.fingerprint)

    def test_mistakes(self) -> None:
        """What can't be used is told with the file, never with its content."""
        store(self.made, self.folder)
        other = make(["pypi.org"], NOW)

        def missing() -> None:
            (self.folder / KEY).unlink()

        def readable() -> None:
            (self.folder / KEY).chmod(0o640)

        def another() -> None:
            (self.folder / KEY).write_bytes(other.key_pem())

        def garbage() -> None:
            (self.folder / CERTIFICATE).write_bytes(b"x")

        for spoil, told in (
            (missing, "aimirror ca init"),
            (readable, "chmod 600"),
            (another, "is not the key of"),
            (garbage, "no certificate and key"),
        ):
            store(self.made, self.folder, replace=True)
            spoil()
            with self.assertRaises(AuthorityError) as caught:
                load(self.folder)
            self.assertIn(told, str(caught.exception))
            self.assertIn(str(self.folder), str(caught.exception))
            self.assertNotIn("BEGIN", str(caught.exception))

    def test_nothing_to_intercept(self) -> None:
        """Without a host there is no authority: an unconstrained one could be anybody."""
        self.assertRaises(AuthorityError, make, [], NOW)

    def test_pem(self) -> None:
        """What clients get holds no key."""
        self.assertNotIn(b"PRIVATE", self.made.pem)
        self.assertEqual(
            x509.load_pem_x509_certificate(self.made.pem).public_bytes(serialization.Encoding.PEM),
            self.made.pem,
        )
