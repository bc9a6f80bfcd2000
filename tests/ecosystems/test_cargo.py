"""Cargo: places in a sparse index, and what they say."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems import cargo
from aimirror.routing.digests import Digest

HEX = "0f" * 32


class CargoTests(SynchronousTestCase):
    def test_index_path(self) -> None:
        """The folders depend on the length of the name, in lower case."""
        for name, path in (
            ("a", "/1/a"),
            ("ab", "/2/ab"),
            ("abc", "/3/a/abc"),
            ("Serde", "/se/rd/serde"),
        ):
            self.assertEqual(cargo.index_path(name), path)

    def test_crate(self) -> None:
        """Both forms of a crate's URL are understood."""
        for url in ("http://h/c/a-b/1.0.0/download", "http://h/c/a-b/a-b-1.0.0.crate"):
            self.assertEqual(cargo.crate(url), ("a-b", "1.0.0"))
        self.assertEqual(cargo.crate("http://h/se/rd/serde"), ("", ""))

    def test_digests(self) -> None:
        """One JSON object per line; damaged lines are left out."""
        lines = f'{{"vers": "1.0.0", "cksum": "{HEX}"}}\nx\n[]\n{"[" * 100_000}\n{{"vers": "2"}}\n'
        self.assertEqual(cargo.digests(lines.encode()), {"1.0.0": Digest("sha256", HEX)})
