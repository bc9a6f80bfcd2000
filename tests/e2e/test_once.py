"""Links that work once, or for one range only, through the real service and real workers."""

from __future__ import annotations

from typing import Any

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
