"""Alpine packages: the part that an index names, and the data that this names."""

from __future__ import annotations

import gzip
import hashlib

from twisted.trial.unittest import SynchronousTestCase

from aimirror.routing import alpine_package
from aimirror.routing.digests import APK
from tests.ecosystems.test_apk import package
from tests.routing.test_git_tree import hashed


class AlpineTests(SynchronousTestCase):
    def test_pieces(self) -> None:
        """The control part is known behind a signature or without, cut at any place."""
        for signed in (True, False):
            file, control = package(b"data" * 50, signed)
            wanted = hashlib.sha1(control).hexdigest()
            for step in (1, 7, 100, len(file)):
                self.assertEqual(hashed(APK, file, step), wanted)

    def test_damaged(self) -> None:
        """Data that the control part does not name, and what is no package, has none."""
        file, _ = package(b"data" * 50)
        for bad in (file[:-1] + b"x", file[:-1], file[:20], b"no gzip", b""):
            self.assertEqual(hashed(APK, bad), "")

    def test_huge(self) -> None:
        """A control part that does not end takes no more memory than the largest one."""
        self.assertEqual(hashed(APK, gzip.compress(bytes(alpine_package.MOST_CONTROL * 4))), "")
