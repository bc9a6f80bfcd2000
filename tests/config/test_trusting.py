"""Files of certificates that a configuration names."""

from __future__ import annotations

from pathlib import Path

from OpenSSL import crypto
from twisted.trial.unittest import SynchronousTestCase

from aimirror.config import Config, ConfigError, load
from aimirror.config.applying import egress_of
from aimirror.http.egress import Trust
from aimirror.registries.auth import Credential
from aimirror.registries.sources import Sources
from tests.upstream.test_tls import certificate

OWN, PEM = certificate("mirror")
TEXT = """
server: {ca_file: all.pem}
rules:
  - {name: own, path_prefix: /own, upstream: "https://own.test", ca_file: own.pem,
     client_cert: cert.pem, client_key: key.pem}
  - {name: rest, upstream: "https://rest.test"}
registries:
  harbor.test: {ca_file: harbor.pem, client_cert: both.pem}
"""


class TrustingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        key = OWN.privateKey.dump(crypto.FILETYPE_PEM)
        for name in ("all.pem", "own.pem", "cert.pem", "harbor.pem"):
            (self.folder / name).write_bytes(PEM)
        (self.folder / "key.pem").write_bytes(key)
        (self.folder / "both.pem").write_bytes(PEM + key)

    def load(self) -> Config:
        file = self.folder / "config.yaml"
        file.write_text(TEXT, "utf-8")
        return load(file, {"HOME": "/home/u"})

    def paths(self, *names: str) -> list[str]:
        return [str(self.folder.absolute() / name) for name in names]

    def test_of_rules(self) -> None:
        """The server's authorities are for all rules; a rule adds its own, and what it shows."""
        config = self.load()
        everybody, own, cert, key = self.paths("all.pem", "own.pem", "cert.pem", "key.pem")
        first, second = (egress_of(config)(rule).trust for rule in config.rules)
        self.assertEqual(first, Trust((everybody, own), cert, key))
        self.assertEqual(second, Trust((everybody,)))

    def test_of_registries(self) -> None:
        """A registry's files take the place of its rule's; the key never of another certificate."""
        config = self.load()
        registry = next(each for each in config.registries if each.name == "harbor.test")
        [made] = Sources().rules(config.rules[0], registry, Credential(""))
        everybody, harbor, both = self.paths("all.pem", "harbor.pem", "both.pem")
        self.assertEqual(egress_of(config)(made).trust, Trust((everybody, harbor), both, ""))

    def test_mistakes(self) -> None:
        """A file that can't be used stops the start, by key and name."""
        for name, where, why in (
            ("all.pem", "server.ca_file: ", "a PEM file of certificates"),
            ("own.pem", "rules[0].ca_file: ", "a PEM file of certificates"),
            ("cert.pem", "rules[0].client_cert: ", "a PEM file with a certificate"),
            ("key.pem", "rules[0].client_key: ", "a PEM file with a certificate"),
            ("both.pem", "registries.harbor.test.client_cert: ", "a PEM file with a certificate"),
        ):
            before = (self.folder / name).read_bytes()
            (self.folder / name).write_bytes(b"nothing")
            with self.assertRaises(ConfigError) as caught:
                self.load()
            (self.folder / name).write_bytes(before)
            self.assertIn(where, str(caught.exception))
            self.assertIn(name, str(caught.exception))
            self.assertIn(f"allowed: {why}", str(caught.exception))
