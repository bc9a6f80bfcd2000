"""NuGet: a package is as the catalog says, to which its registration leads."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems import nuget
from aimirror.routing.digests import Digest
from tests.ecosystems.support import WorldCase

GOOD, BAD = b"the package", b"another one"
PACKAGE = "/v3-flatcontainer/tool.kit/1.0.0-rc.1/tool.kit.1.0.0-rc.1.nupkg"
LEAF = "/v3/registration5-gz-semver2/tool.kit/1.0.0-rc.1.json"
ENTRY = "/v3/catalog0/data/2024/tool.kit.1.0.0-rc.1.json"


def details(data: bytes) -> bytes:
    """What the catalog says of a package."""
    told = {
        "id": "Tool.Kit",
        "version": "1.0.0-RC.1+build",
        "packageHash": base64.b64encode(hashlib.sha512(data).digest()).decode(),
        "packageHashAlgorithm": "SHA512",
    }
    return json.dumps(told).encode()


class SayingTests(SynchronousTestCase):
    def test_details(self) -> None:
        """ID and version are told apart from their spelling and from what was built."""
        wanted = Digest("sha512", hashlib.sha512(GOOD).hexdigest())
        self.assertEqual(nuget.digests(details(GOOD)), {"tool.kit/1.0.0-rc.1": wanted})
        for nothing in (b"", b"[]", b"{}", b'{"packageHash": "x", "packageHashAlgorithm": "md2"}'):
            self.assertEqual(nuget.digests(nothing), {})
            self.assertEqual(nuget.entry_url(nothing), "")

    def test_places(self) -> None:
        """Packages are named by their registrations; what is beside them is not."""
        places = list(nuget._places(f"https://h{PACKAGE}"))
        self.assertEqual(places, [(f"https://h{LEAF}", "tool.kit/1.0.0-rc.1")])
        for path in ("/v3-flatcontainer/a/1/a.nuspec", "/v3-flatcontainer/a/index.json"):
            self.assertEqual(list(nuget._places(path)), [])


class PackageTests(WorldCase):
    name = "nuget"

    def setUp(self) -> None:
        super().setUp()
        self.use(immutable=True, path_prefix="/nuget", strip_prefix=True)

    def publish(self, body: bytes, entry: str = f"https://up.test{ENTRY}") -> None:
        leaf = json.dumps({"catalogEntry": entry, "listed": True}).encode()
        self.answers[LEAF] = (200, ["Cache-Control: max-age=9"], gzip.compress(leaf))
        self.answers[ENTRY] = (200, ["Cache-Control: max-age=9"], details(GOOD))
        self.answers[PACKAGE] = (200, [], body)

    def fetch(self) -> list[bytes]:
        client = self.ask(f"/nuget{PACKAGE}")
        for _ in range(20):
            self.clock.advance(1)
        return [body for status, _, body in client.answers() if status == 200]

    def test_damaged(self) -> None:
        """A package that is not what the catalog says is not given out whole, nor kept."""
        self.publish(BAD)
        self.assertEqual(self.fetch(), [])
        self.clock.advance(1000)
        self.publish(GOOD)
        self.assertEqual(self.fetch(), [GOOD])

    def test_asked_once(self) -> None:
        """What names it is asked for when it is fetched, and not again."""
        self.publish(GOOD)
        for _ in range(3):
            self.assertEqual(self.fetch(), [GOOD])
            self.clock.advance(1000)
        wanted = [f"GET {path}" for path in (LEAF, ENTRY, PACKAGE)]
        self.assertEqual(self.urls(), wanted)

    def test_no_catalog(self) -> None:
        """A feed without a catalog, or with one elsewhere, is served all the same."""
        self.publish(GOOD, "https://elsewhere.test/catalog/entry.json")
        self.assertEqual(self.fetch(), [GOOD])
        self.assertEqual(self.urls(), [f"GET {LEAF}", f"GET {PACKAGE}"])
