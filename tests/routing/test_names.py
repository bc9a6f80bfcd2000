"""Patterns of package names, and the paths that they mean."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.routing.names import belongs


class BelongsTests(SynchronousTestCase):
    def test_paths(self) -> None:
        """Pages, files and scoped packages are told by their names, however they are written."""
        for path, pattern, wanted in (
            ("/simple/acme-tools/", "acme-*", True),
            ("/simple/ACME_tools/", "acme-*", True),
            ("/packages/a/acme_tools-1.0-py3-none-any.whl", "acme-*", True),
            ("/simple/macme-tools/", "acme-*", False),
            ("/simple/acme/", "acme", True),
            ("/simple/acmetools/", "acme", False),
            ("/@acme%2ftools", "@acme/*", True),
            ("/@acme/tools/-/tools-1.tgz", "@acme/*", True),
            ("/@acmes/tools", "@acme/*", False),
            ("/com/acme/lib/1.0/lib-1.0.jar", "com/acme", True),
            ("/", "acme", False),
        ):
            self.assertEqual(belongs(path, (pattern,)), wanted, (path, pattern))
