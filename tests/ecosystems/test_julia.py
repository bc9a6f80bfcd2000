"""Julia: a path names the git tree that is in its archive."""

from __future__ import annotations

import gzip

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems import julia
from aimirror.routing.digests import GIT_TREE, Digest
from tests.ecosystems.support import WorldCase
from tests.routing.test_git_tree import TREE, tarred

UUID = "7876af07-990d-54b4-ab0e-23690620f79a"


class PathTests(SynchronousTestCase):
    def test_named(self) -> None:
        """Registries, packages and artifacts are named by their trees; other paths are not."""
        for path in (f"registry/{UUID}/{TREE}", f"package/{UUID}/{TREE}", f"artifact/{TREE}"):
            self.assertEqual(julia.digest_of(f"https://h/{path}"), Digest(GIT_TREE, TREE))
        for path in ("registries", "meta", f"artifact/{TREE}0", f"package/{TREE}"):
            self.assertIsNone(julia.digest_of(f"https://h/{path}"))


class ArchiveTests(WorldCase):
    name = "julia"

    def test_damaged(self) -> None:
        """An archive that holds another tree is not given out whole, nor kept."""
        self.use(immutable=True)
        path = f"/package/{UUID}/{TREE}"
        right = gzip.compress(tarred(), mtime=0)
        other = gzip.compress(tarred().replace(b"two", b"twO"), mtime=0)
        for body in (other, b"no archive", right):
            self.answers[path] = (200, [], body)
            client = self.ask(path)
            for _ in range(20):
                self.clock.advance(1)
            answers = [body for status, _, body in client.answers() if status == 200]
            self.assertEqual(answers, [right] if body == right else [])
            self.clock.advance(1000)
