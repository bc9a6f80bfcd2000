"""What registries of providers and modules say."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems.terraform import documents as terraform
from tests.ecosystems.terraform.test_world import COMMIT, VERSIONS


def home(url: str) -> str:
    """A mirror of GitHub alone."""
    at = "https://github.com/"
    return url.replace(at, "http://m/github/") if url.startswith(at) else ""


class SayingTests(SynchronousTestCase):
    def test_versions(self) -> None:
        """Each version with its platforms."""
        found = terraform.versions(json.dumps(VERSIONS).encode())
        self.assertEqual(found, {"1.2.0": ["linux_amd64", "darwin_arm64"], "1.3.0": []})

    def test_malformed(self) -> None:
        """What is no such document is an error."""
        for bad in (b"", b"[]", b'{"versions": 1}'):
            self.assertRaises(ValueError, terraform.versions, bad)
        for told in ({}, {"shasum": "0f" * 32}, {"shasum": "x", "download_url": "https://h/a"}):
            self.assertRaises(ValueError, terraform.archive, json.dumps(told).encode())


class AddressTests(SynchronousTestCase):
    def led(self, address: str, public: bool = True) -> str:
        return terraform.module_address(address, home, public=public)

    def test_archives(self) -> None:
        """A commit or a release of a public repository is an archive, whose one folder is it."""
        for ref in (COMMIT, "v5.0.0", "1.2.3-rc.1"):
            wanted = f"http://m/github/o/r/archive/{ref}.tar.gz//*?archive=tar.gz"
            for way in ("git::", ""):
                for end in ("", ".git", "/"):
                    self.assertEqual(
                        self.led(f"{way}https://github.com/o/r{end}?ref={ref}"), wanted
                    )

    def test_repositories(self) -> None:
        """Branches, and whatever is not public, go on by git."""
        for query in ("?ref=main", "", "?depth=1"):
            given = f"git::https://github.com/o/r//a/b{query}"
            self.assertEqual(self.led(given), f"git::http://m/github/o/r//a/b{query}")
        given = f"git::https://github.com/o/r?ref={COMMIT}"
        self.assertEqual(self.led(given, False), f"git::http://m/github/o/r?ref={COMMIT}")

    def test_files(self) -> None:
        """Archives keep their folder and their query."""
        given = "https://github.com/o/r/releases/download/v1/a.zip//b?archive=zip"
        wanted = "http://m/github/o/r/releases/download/v1/a.zip//b?archive=zip"
        self.assertEqual(self.led(given), wanted)

    def test_left_alone(self) -> None:
        """Addresses without a host that is served, and what is no URL."""
        for given in ("", "./a", "o/r/a", "github.com/o/r//b", "git::ssh://h/a", "https://x/a.zip"):
            self.assertEqual(self.led(given), given)

    def test_locations(self) -> None:
        """Documents without a location stay to the byte."""
        for given in (b"", b"[]", b'{"location": 1}', b'{ "a":1}'):
            self.assertEqual(terraform.with_location(given, str.upper), given)
