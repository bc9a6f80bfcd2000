"""The look at a store before it is used: which lies are found out, and which are borne."""

from __future__ import annotations

from aimirror.testing.s3 import ACCESS, SECRET, InMemory
from aimirror.tier.probe import Finding, Probe, refused
from aimirror.tier.s3 import StoreError
from tests.tier.support import TierCase, no_wait


class ProbeTests(TierCase):
    def setUp(self) -> None:
        super().setUp()
        self.probe = Probe(self.bucket, InMemory(self.script), "us-east-1", no_wait)

    def found(self) -> tuple[Finding, ...]:
        return self.run_now(self.probe.run())

    def test_good(self) -> None:
        """A store that does what it should is taken, and nothing stays in it."""
        found = self.found()
        self.assertEqual([each for each in found if not each.holds], [])
        self.assertEqual(refused(found), "")
        self.assertEqual(self.script.objects, {})

    def test_liars(self) -> None:
        """A store that truncates, ignores ranges or credentials is refused; it says which."""
        for lie, said in (
            ("truncates", "gives back what was written"),
            ("ignores_range", "answers a range with 206"),
            ("part_as_200", "answers a range with 206 (status 200 with 2000 bytes)"),
            ("keeps_broken", "broke off (50000 of 100000 bytes were kept)"),
            ("ignores_credentials", "refuses wrong and missing credentials"),
        ):
            setattr(self.script, lie, True)
            self.assertIn(said, refused(self.found()), lie)
            setattr(self.script, lie, False)

    def test_borne(self) -> None:
        """One that does not look at digests is told of, and taken: we look when we read."""
        self.script.ignores_digests = True
        found = self.found()
        self.assertIn("digest", next(each.what for each in found if not each.holds))
        self.assertEqual(refused(found), "")

    def test_away(self) -> None:
        """One that does not answer is neither."""
        self.script.away = True
        self.fail_now(self.probe.run(), StoreError)
        self.assertNotIn(SECRET, repr(self.bucket))
        self.assertIn("AKID", ACCESS)
