"""A mirror in memory with the knowledge of a package world."""

from __future__ import annotations

from typing import Any

from aimirror.ecosystems.making import Edges
from aimirror.ecosystems.registry import BY_NAME, made
from aimirror.http.egress import Outgoing
from aimirror.mirror.ecosystem import Ecosystem
from aimirror.mirror.mirror import Mirror
from aimirror.registries.registry import Registries
from aimirror.routing.rules import Rule
from aimirror.server.base_url import base_url
from aimirror.server.memo import Memo
from aimirror.server.site import MirrorSite
from tests.mirror.support import UPSTREAM, MirrorCase, Played


class WorldCase(MirrorCase):
    """``answers`` are the upstream's by URL, or by method and URL; others are 404."""

    name = ""

    def world(self) -> Ecosystem:
        """The class of the world of this name."""
        edges = Edges(library=self.library, registries=Registries(()))
        return made(BY_NAME[self.name], edges)

    def use(self, *more: Rule, **options: Any) -> None:
        """See MirrorCase."""
        fields = {"name": "all", "upstreams": (UPSTREAM,), "ecosystem": self.name, **options}
        self.memo = memo = Memo()
        self.store.changed = memo.invalidate
        worlds = {self.name: self.world()}
        rules = (*more, Rule(**fields))
        self.mirror = Mirror(rules, self.library, base_url, worlds)
        self.site = MirrorSite(self.mirror.handle, self.clock, memo=memo)
        self.answers: dict[str, Any] = {}
        self.upstream.handler = self.answer

    def answer(self, outgoing: Outgoing) -> Played | Exception:
        """What the upstream says."""
        url = outgoing.url.removeprefix(UPSTREAM)
        made = self.answers.get(f"{outgoing.method} {url}") or self.answers.get(url)
        if made is None:
            return Played(404, "Content-Type: text/plain", body=b"none")
        played = made(outgoing) if callable(made) else made
        if not isinstance(played, Played):
            status, fields, body = played
            played = Played(status, *fields, body=b"" if outgoing.method == "HEAD" else body)
        return played

    def urls(self) -> list[str]:
        """What was asked of the upstream."""
        sent = (each.outgoing for each in self.upstream.sent)
        return [f"{each.method} {each.url.removeprefix(UPSTREAM)}" for each in sent]
