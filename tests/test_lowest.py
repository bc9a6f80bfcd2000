"""The versions with which the tests run a second time."""

from __future__ import annotations

import tomllib

from twisted.trial.unittest import SynchronousTestCase

from tests.lowest import ROOT, requirements


class LowestTests(SynchronousTestCase):
    def test_each_bound(self) -> None:
        """Each dependency has a lower bound and nothing else, which becomes its version."""
        text = (ROOT / "pyproject.toml").read_text("utf-8")
        count = len(tomllib.loads(text)["project"]["dependencies"])
        pinned = requirements(text)
        self.assertEqual(len(pinned), count)
        for each in pinned:
            self.assertRegex(each, r"^[a-z.-]+==[\d.]+$")

    def test_example(self) -> None:
        """A bound becomes the version."""
        project = "[project]\ndependencies = ['a>=1', 'b.c>=2.5']"
        self.assertEqual(requirements(project), ["a==1", "b.c==2.5"])
