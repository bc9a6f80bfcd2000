"""Custom handlers in front of the general way."""

from __future__ import annotations

from typing import Any

from aimirror.mirror.ecosystem import GENERAL
from aimirror.mirror.handlers import Handled, handler_of
from aimirror.mirror.mirror import Mirror
from aimirror.server.base_url import base_url
from aimirror.server.site import MirrorSite
from tests.mirror.support import MirrorCase


class HandledTests(MirrorCase):
    def test_asked_each_time(self) -> None:
        """A handler is asked about each request, repeats of what it left to the cache included."""
        asked: list[str] = []

        async def exec_path(request: Any, path: str, config: Any, client: Any) -> tuple[bool, None]:
            asked.append(path)
            return False, None

        self.use(handler="handlers.mine")
        world = Handled("handlers.mine", exec_path, {}, self.library, GENERAL)
        worlds = {handler_of(self.mirror.rules[0]): world}
        mirror = Mirror(self.mirror.rules, self.library, base_url, worlds)
        self.site = MirrorSite(mirror.handle, self.clock, memo=self.site.memo)
        self.plays(200, 'ETag: "v1"', "Cache-Control: max-age=100")
        for _ in range(3):
            self.assertEqual(self.get()[2], b"body")
        self.assertEqual((len(asked), self.asked), (3, 1))
