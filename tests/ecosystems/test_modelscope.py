"""What ModelScope's list of files says."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems.modelscope import WORLD, digests
from aimirror.indexes.reading import Files
from aimirror.routing.digests import Digest

HEX = "0123456789abcdef" * 4


class ModelScopeTests(SynchronousTestCase):
    def test_digests(self) -> None:
        """Each file with a sha256, by its path; other shapes say nothing."""
        files = [{"Path": "a/b.bin", "Sha256": HEX}, {"Path": "c"}, 5]
        told = json.dumps({"Data": {"Files": files}}).encode()
        self.assertEqual(digests(told), {"a/b.bin": Digest("sha256", HEX)})
        for odd in (b"", b"[]", b'{"Data": 5}', b'{"Data": {"Files": {}}}', b"[" * 10_000):
            self.assertEqual(digests(odd), {})

    def test_list(self) -> None:
        """The list of a file's revision is the one that the library asks for."""
        assert isinstance(WORLD.knowledge, Files)
        base = "https://h/api/v1/models/o/n/repo"
        for query, wanted in (
            (
                "Revision=v1&FilePath=a%2Fb.bin",
                [(f"{base}/files?Revision=v1&Recursive=True", "a/b.bin")],
            ),
            ("FilePath=a", [(f"{base}/files?Revision=master&Recursive=True", "a")]),
            ("Revision=v1", []),
        ):
            self.assertEqual(list(WORLD.knowledge.places(f"{base}?{query}")), wanted)
