from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from aimirror.config import load
from aimirror.config.regexes import explodes

BAD = (
    "^/(a+)+$",
    "/simple/([a-z]+)*/x$",
    "/(?:[a-z0-9]+-?)+\\.whl$",
    "/(a|a)*$",
    "/(.*)*x$",
    "/v2/(\\d+)+/z$",
    "/((x+x+)+)y",
)
GOOD = (
    "",
    "^/",
    "/v2/.*/blobs/sha256:[a-f0-9]+",
    "^/v2/(?:[a-z0-9]+/)*blobs/",
    "/packages/.+\\.(whl|tar\\.gz|zip)$",
    "/(a+b)+$",
    "/(?:[a-z0-9]+(?:[._-][a-z0-9]+)*)$",
    "(?i)/SIMPLE/(?P<name>[^/]+)/$",
    "(?<=/)x(?=y)",
)


class ExplodingTests(SynchronousTestCase):
    def test_told_apart(self) -> None:
        """Nested repetitions that have many ways to fail are found, those with one way pass."""
        for pattern in BAD:
            self.assertTrue(explodes(re.compile(pattern)), pattern)
        for pattern in GOOD:
            self.assertFalse(explodes(re.compile(pattern)), pattern)

    def test_built_in(self) -> None:
        """The built-in configuration loads, so that none of its patterns is refused."""
        self.assertTrue(load(None).rules)
