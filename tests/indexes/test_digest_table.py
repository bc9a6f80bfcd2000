"""Digests by name in little memory."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.indexes.digest_table import DigestTable
from aimirror.routing.digests import ALGORITHMS, Digest

DIGESTS = st.sampled_from(sorted(ALGORITHMS)).flatmap(
    lambda name: st.binary(min_size=ALGORITHMS[name], max_size=ALGORITHMS[name]).map(
        lambda raw: Digest(name, raw.hex())
    )
)


class DigestTableTests(SynchronousTestCase):
    @given(st.lists(st.dictionaries(st.text(max_size=9), DIGESTS)))
    def test_like_a_dictionary(self, said: list[dict[str, Digest]]) -> None:
        """It says what one dictionary of all that was said would say."""
        whole = {name: digest for each in said for name, digest in each.items()}
        table = DigestTable(said)
        self.assertEqual(len(table), len(whole))
        for name, digest in whole.items():
            self.assertEqual(table.get(name), digest)
        self.assertIsNone(table.get("a name longer than any other"))
        again = DigestTable.load(table.dump())
        self.assertEqual(len(again), len(whole))
        for name, digest in whole.items():
            self.assertEqual(again.get(name), digest)

    @given(st.binary(max_size=50))
    def test_not_dumped(self, data: bytes) -> None:
        """What was not dumped is no table."""
        whole = DigestTable([{"a": Digest("md5", "0" * 32)}]).dump()
        for wrong in (data, whole[:-1], whole.replace(b"[1, 16]", b"[9, 16]"), b'{"md5": 1}\n'):
            with contextlib.suppress(ValueError, TypeError, AttributeError):
                self.assertEqual(len(DigestTable.load(wrong)), 0)
