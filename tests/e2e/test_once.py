"""Links that work once, or for one range only, through the real service and real workers."""

from __future__ import annotations

from typing import Any

from aimirror.testing import client
from aimirror.testing.processes import ServiceProgram
from tests.e2e.support import CONTENT, EndToEndTests


class OnceTests(EndToEndTests):
    def play(self, **behaviour: Any) -> tuple[str, ServiceProgram]:
        path = self.serve("/once.bin", uses=1, rate=20_000_000, **behaviour)
        return f"{path}?ticket=1", self.start()

    def requests(self, path: str) -> int:
        return self.origin.count(path.partition("?")[0]).requests

    def test_once(self) -> None:
        """A whole GET of a link that answers one request; the next is a hit."""
        path, service = self.play(spent=410)
        self.assertWhole(service.get(path))
        self.settle(service)
        self.assertWhole(service.get(path))
        self.assertLessEqual(self.requests(path), 2)

    def test_one_range(self) -> None:
        """A link that answers one range."""
        path, service = self.play(spends="range")
        self.assertWhole(service.get(path))
        self.assertLessEqual(self.requests(path), 2)

    def test_without_ranges(self) -> None:
        """A link that answers one request, and knows no ranges."""
        path, service = self.play(ranges=False)
        self.assertWhole(service.get(path))
        self.assertEqual(self.requests(path), 1)

    def test_by_range(self) -> None:
        """A client that asks for a part first, and then for all."""
        path, service = self.play(spent=404)
        part = service.get(path, ("Range", "bytes=11000000-11000099"))
        self.assertEqual((part.status, part.body), (206, CONTENT[11_000_000:11_000_100]))
        self.assertWhole(service.get(path))
        self.assertLessEqual(self.requests(path), 2)

    def test_head_first(self) -> None:
        """A client that asks by HEAD before."""
        path, service = self.play()
        head = service.get(path, method="HEAD")
        self.assertEqual(
            (head.status, head.headers.get("content-length")), (200, str(len(CONTENT)))
        )
        self.assertWhole(service.get(path))

    def test_others_of_the_host(self) -> None:
        """The next link of that host is a plain stream: one request."""
        path, service = self.play()
        self.assertWhole(service.get(path))
        other = self.serve("/two.bin", uses=1) + "?ticket=2"
        self.assertWhole(service.get(other))
        self.assertEqual(self.requests(other), 1)

    def test_ordinary_looking(self) -> None:
        """Of links that look ordinary the first is cut, and the next ones come by one request."""
        path = self.serve("/first.bin", uses=1, spent=404, rate=20_000_000)
        service = self.start()
        self.assertCut(service, path)
        for n in range(2):
            other = self.serve(f"/next{n}.bin", uses=1, spent=404)
            self.assertWhole(service.get(other))
            self.assertEqual(self.requests(other), 1)

    def assertCut(self, service: ServiceProgram, path: str) -> None:
        """The client sees that it has not all."""
        with self.assertRaises(client.Broken):
            service.get(path)

    def test_redirected(self) -> None:
        """An address that leads to a new link each time, of which each answers once."""
        self.serve("/real.bin", needs_signature=True, rate=20_000_000)
        url = f"{self.origin.url}/real.bin"
        service = self.start()
        for n in range(2):
            self.origin.script({f"/{n}.bin": {"redirect": url, "signs": True, "signed_uses": 1}})
            self.assertWhole(service.get(f"/{n}.bin"))
        self.assertEqual(self.requests("/1.bin"), 1)
