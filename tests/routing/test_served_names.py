"""Names of the mirror that stand for a part of it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.routing.served_names import PLAIN, ServedName, ServedNames

NAMES = ServedNames(
    [
        ServedName(host="ghcr.lan", registry="ghcr.io"),
        ServedName(host="npm.lan", root="/registry/npm"),
        ServedName(host="mirror:5001", registry="quay.io"),
    ]
)


class ServedNameTests(SynchronousTestCase):
    def test_find(self) -> None:
        """A name counts with and without a port, in any case; one with a port with that alone."""
        for host, registry in (
            ("ghcr.lan", "ghcr.io"),
            ("GHCR.lan:8081", "ghcr.io"),
            ("mirror:5001", "quay.io"),
            ("mirror:5002", ""),
            ("mirror", ""),
            ("evilghcr.lan", ""),
            ("[::1]:8081", ""),
            ("[::1]", ""),
            ("", ""),
        ):
            self.assertEqual(NAMES.find(host).registry, registry, host)
        self.assertIs(ServedNames().find("ghcr.lan"), PLAIN)

    def test_root(self) -> None:
        """The root is put before a path once, at a segment's boundary."""
        name = NAMES.find("npm.lan")
        for path, wanted in (
            ("/left-pad", "/registry/npm/left-pad"),
            ("/registry/npm/left-pad", "/registry/npm/left-pad"),
            ("/registry/npmx", "/registry/npm/registry/npmx"),
            ("/registry/npm", "/registry/npm"),
        ):
            self.assertEqual(name.path(path), wanted)
        self.assertEqual(PLAIN.path("/x"), "/x")
