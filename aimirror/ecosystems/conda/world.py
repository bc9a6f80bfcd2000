"""conda: packages as repodata says, and channels whose files are elsewhere led to the mirror."""

from __future__ import annotations

import hashlib

from attrs import evolve

from aimirror.bounded import LRU
from aimirror.ecosystems.conda import bases
from aimirror.ecosystems.conda.repodata import FILES, PRESETS, conda, pixi
from aimirror.ecosystems.making import Coded
from aimirror.ecosystems.packaged import named_by
from aimirror.ecosystems.world import Row
from aimirror.indexes.indexed import Indexed
from aimirror.interfaces import ILibrary
from aimirror.mirror.ecosystem import ClientRequest, Desk, Untaken
from aimirror.routing.choices import ContentRewrite
from aimirror.routing.mounts import mounts
from aimirror.routing.rules import Route, Rule
from aimirror.server.answers import Answer, Streamed
from aimirror.server.errors import error_answer

#: Indexes for which it is kept in mind that they name no whole URL.
MOST_RELATIVE = 10_000
#: Leads ``base_url`` of a repodata to the mirror.
_BASES = ContentRewrite(content_types=("/",), members=("base_url",))
_OTHER_FORM = "take repodata.json, whose base_url leads to this mirror"
_ELSEWHERE = "this channel's files are at a host that the mirror does not serve"


class Conda(Indexed):
    """Knowledge of conda channels."""

    def __init__(self, library: ILibrary) -> None:
        super().__init__(library, FILES)
        self._relative: LRU[str, bool] = LRU(MOST_RELATIVE)

    async def take(self, request: ClientRequest, route: Route, mirror: Desk) -> Answer | Untaken:
        """See Ecosystem."""
        name = route.path.rpartition("/")[2]
        asked = request.mirror and (request.method == "GET" or self._is_tried(request, name))
        if not asked or self._is_relative(route):
            return await super().take(request, route, mirror)
        whole = evolve(request, method="GET")
        if name == bases.SHARDS:
            return await self._shards(whole, route, mirror)
        if name in bases.PLAIN | bases.PACKED:
            return await self._repodata(whole, route, mirror, name in bases.PLAIN)
        return await super().take(request, route, mirror)

    def _is_tried(self, request: ClientRequest, name: str) -> bool:
        """Whether a client looks which form there is, of those that it takes first."""
        return request.method == "HEAD" and name.endswith(".zst")

    def _is_relative(self, route: Route) -> bool:
        """Whether all that is stored of an index is known to name no whole URL."""
        stored = [e for e in self.library.at(route.key).entries if e.status == 200]
        return bool(stored) and all(self._relative.get(e.blob) for e in stored)

    def _note(self, route: Route) -> None:
        for entry in self.library.at(route.key).entries:
            if entry.status == 200 and entry.blob:
                self._relative.put(entry.blob, True)

    async def _shards(self, request: ClientRequest, route: Route, mirror: Desk) -> Answer:
        """The index of shards, which clients do without where there is none."""
        answer = await mirror.answer(request, route)
        if answer.status != 200 or answer.body is None or isinstance(answer.body, Streamed):
            return answer
        data = await self._read(answer, bases.MOST_SHARDS)
        lead = _Lead(mirror.rules, request.mirror)
        changed = await self.library.aside(bases.led, data, lead)
        if changed is None:
            return error_answer(404, "no shards", _ELSEWHERE)
        if changed is data:
            self._note(route)
            return answer
        headers = answer.headers.without("content-length", "last-modified")
        etag = f'W/"{hashlib.sha256(changed).hexdigest()[:32]}"'
        return Answer(status=200, headers=headers.with_("ETag", etag), body=changed)

    async def _repodata(
        self, request: ClientRequest, route: Route, mirror: Desk, plain: bool
    ) -> Answer:
        """Repodata; a packed form that names a whole URL is not there, and clients take another."""
        answer = await mirror.answer(request, evolve(route, exact=True))
        if answer.status != 200 or answer.body is None or isinstance(answer.body, Streamed):
            return await mirror.changed(request, route, answer)
        head = await self._read(answer, bases.HEAD, bases.HEAD)
        base = await self.library.aside(bases.whole_base, head)
        if not base:
            self._note(route)
        elif plain:
            route = evolve(route, rule=evolve(route.rule, content_rewrite=_BASES))
        else:
            return error_answer(404, "no such form", _OTHER_FORM)
        return await mirror.changed(request, route, answer)

    async def _read(self, answer: Answer, most: int, stop: int | None = None) -> bytes:
        body = answer.body
        if isinstance(body, bytes):
            return body[:stop]
        assert body is not None and not isinstance(body, Streamed)
        data: bytes = await self.library.read(body, most, 0, stop)
        return data


class _Lead:
    """Where the mirror at a URL serves what is elsewhere."""

    def __init__(self, rules: tuple[Rule, ...], mirror: str) -> None:
        self._mounts = mounts(rules)
        self._mirror = mirror

    def __call__(self, url: str) -> str | None:
        for mount in self._mounts:
            base = mount.base.rstrip("/")
            if url == base or url.startswith(f"{base}/"):
                return self._mirror + mount.prefix + url[len(base) :]
        return None


WORLD = Coded(
    name="conda",
    package=named_by(
        r".*/(?P<name>[^/]+)-(?P<version>[^/-]+)-[^/-]+\.(?:conda|tar\.bz2)",
    ),
    presets=PRESETS,
    clients={"conda": conda, "pixi": pixi},
    make=lambda edges: Conda(edges.library),
    row=Row(
        clients="conda, mamba, pixi",
        at="`/conda-forge`, `/bioconda`, `/pkgs/main`",
        checked="sha256 of repodata.json (plain, zst, bz2); shards by their name",
        changes=("repodata in all forms; a form that is missing is remembered for an hour"),
    ),
)
