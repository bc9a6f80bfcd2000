"""How indexes are noted for nodes that look for them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.tier import kin

BASE = "http://debian.test/debian"


class KinTests(SynchronousTestCase):
    def test_newest_first(self) -> None:
        """Notes in the order of their names give the keys, the newest first, each once."""
        keys = [f"{BASE}/dists/s/main/{n}/Packages.xz" for n in ("a", "b", "ä?x=1")]
        notes = [kin.note(BASE, key, now) for now, key in enumerate((*keys, keys[0]))]
        self.assertEqual(kin.noted(BASE, sorted(notes)), [keys[0], keys[2], keys[1]])

    def test_not_noted(self) -> None:
        """What is not below the base, or too long for a name, has no note; odd names no key."""
        self.assertEqual(kin.note(BASE, "http://other.test/Packages", 1.0), "")
        self.assertEqual(kin.note(BASE, f"{BASE}/{'x' * kin.LONGEST}", 1.0), "")
        self.assertLess(len(kin.note(BASE, BASE + "x" * kin.LONGEST, 1.0)), 1000)
        odd = (kin.folder(BASE), f"{kin.folder(BASE)}1-x", f"{kin.folder(BASE)}1-____")
        self.assertEqual(kin.noted(BASE, odd[1:]), [])
