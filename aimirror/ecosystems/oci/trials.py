"""Whether the manifest that a moved tag stands for can be had whole, before clients are told of it.

What a tag stood for before is at hand.  A registry may name a new manifest long before it has all
of its blobs, or while it gives out none: clients that are told of it fail, and others with them.
So its blobs are asked about first; of an index those of the platforms that were pulled here.  What
fails later all the same counts against it, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from twisted.internet.defer import Deferred, gatherResults

from aimirror.bounded import LRU
from aimirror.ecosystems.oci.images import Images
from aimirror.ecosystems.oci.manifests import Manifest, Part
from aimirror.ecosystems.oci.visit import Visit
from aimirror.exchanges.answering import UNABLE
from aimirror.interfaces import BodyFailed, UpstreamError
from aimirror.registries.paths import Kind, Target, parse_digest
from aimirror.registries.tokens import Refused
from aimirror.routing.digests import Digest
from aimirror.single_flight import SingleFlight

#: Statuses of what is not to be had, or not now.
NOT_HAD = UNABLE | {404}
#: Seconds for which a manifest that failed is not tried again, and one that passed is believed.
FAILED_FOR = 60.0
PASSED_FOR = 3600.0
#: Seconds for which a blob is believed to be there, so that the next trial goes on with the rest.
THERE_FOR = 180.0
#: Manifests whose trials are remembered.
MOST_TRIALS = 10_000
#: Blobs that are asked about at the same time; moved tags of a repository that are remembered.
AT_ONCE = 6
MOST_MOVED = 8
#: Levels of indexes below each other that are looked into.
MOST_LEVELS = 3

#: An upstream, a repository there, and a manifest's digest.
_Name = tuple[str, str, str]


class Trials:
    """Tries manifests before tags stand for them."""

    def __init__(self, images: Images) -> None:
        self._images = images
        self._flights = SingleFlight()
        self._passed: LRU[_Name, float] = LRU(MOST_TRIALS)
        #: Until when, and the status of what was missing.
        self._failed: LRU[_Name, tuple[float, int]] = LRU(MOST_TRIALS)
        #: Until when a blob is believed to be at the registry, by its key.
        self._there: LRU[str, float] = LRU(MOST_TRIALS)
        #: By upstream and repository: the manifests that have passed a trial, the last one first.
        self._tried: LRU[tuple[str, str], tuple[Digest, ...]] = LRU(MOST_TRIALS)

    async def attempt(self, visit: Visit, digest: Digest, former: Digest) -> None:
        """Raise Refused, UpstreamError or BodyFailed unless a manifest can be had whole."""
        name, now = _name(visit, digest), self._images.now()
        if (self._passed.get(name) or 0.0) > now:
            return
        failed = self._failed.get(name)
        if failed is not None and failed[0] > now:
            raise Refused(failed[1], "it could not be had whole just now")
        flight = (name, visit.who.hash)
        await self._flights.do(flight, lambda: self._tested(visit, digest, former))

    def refused(self, visit: Visit, digest: Digest) -> bool:
        """Whether a manifest has failed just now."""
        failed = self._failed.get(_name(visit, digest))
        return failed is not None and failed[0] > self._images.now()

    async def missed(self, visit: Visit, status: int) -> None:
        """Take note that what a digest names, which clients ask for, could not be had."""
        place = (visit.rule.upstreams[0], visit.target.name)
        for digest in self._tried.get(place) or ():
            if visit.target.digest in await self._named(visit, digest):
                self._fail(visit, digest, status)

    async def whole(self, visit: Visit, digest: Digest, depth: int = 0) -> bool:
        """Whether everybody may have an image with all that it needs from the cache.

        Of an index that of one platform is enough: others may never be asked for.
        """
        said = await self._stored(visit, digest)
        if said is None or depth == MOST_LEVELS:
            return False
        if not said.parts:
            return all(self._here(visit, blob) for blob in _blobs(visit, said))
        for own in _digests(said.parts):
            if await self.whole(visit, own, depth + 1):
                return True
        return False

    async def replaces(self, visit: Visit, digest: Digest, former: Digest) -> bool:
        """Whether an image is stored with all that was pulled of another one."""
        said = await self._stored(visit, digest)
        for own in await self._pulled(visit, said, former) if said is not None else ():
            if not await self.whole(visit, own):
                return False
        return await self.whole(visit, digest)

    def is_stored(self, visit: Visit, digest: Digest) -> bool:
        """Whether a client may have a manifest from the cache, also in an outage."""
        target = visit.target.named(digest, Kind.MANIFEST)
        return self._here(visit, target) or self._images.graced(visit, visit.route(target).key)

    # -- the trial -------------------------------------------------------------------------

    async def _tested(self, visit: Visit, digest: Digest, former: Digest) -> None:
        name, place = _name(visit, digest), (visit.rule.upstreams[0], visit.target.name)
        said = await self._images.manifest(visit, visit.target.named(digest, Kind.MANIFEST))
        try:
            needed = list(_blobs(visit, said))
            for part in await self._pulled(visit, said, former):
                target = visit.target.named(part, Kind.MANIFEST)
                needed += _blobs(visit, await self._images.manifest(visit, target))
            await self._all_there(visit, needed)
        except Refused as refused:
            if refused.status in NOT_HAD:
                self._fail(visit, digest, refused.status)
            raise
        except (UpstreamError, BodyFailed):
            self._fail(visit, digest, 502)
            raise
        self._passed.put(name, self._images.now() + PASSED_FOR)
        others = (each for each in self._tried.get(place) or () if each != digest)
        self._tried.put(place, (digest, *others)[:MOST_MOVED])

    def _fail(self, visit: Visit, digest: Digest, status: int) -> None:
        name = _name(visit, digest)
        self._passed.pop(name)
        self._failed.put(name, (self._images.now() + FAILED_FOR, status))

    async def _pulled(self, visit: Visit, said: Manifest, former: Digest) -> list[Digest]:
        """Of an index the parts for those platforms of the former one that were pulled here."""
        before = await self._stored(visit, former) if said.parts else None
        platforms = {
            part.platform
            for part in (before.parts if before is not None else ())
            if any(self.is_stored(visit, own) for own in _digests((part,)))
        }
        return list(_digests(part for part in said.parts if part.platform in platforms))

    async def _all_there(self, visit: Visit, targets: Iterable[Target]) -> None:
        """Ask about blobs that are not stored; raises the first problem."""
        now = self._images.now()
        waiting = (
            target
            for target in targets
            if not self._here(visit, target)
            and (self._there.get(visit.route(target).key) or 0) < now
        )
        problems: list[Exception] = []

        async def lane() -> None:
            for target in waiting:
                try:
                    await self._images.has(visit, target)
                    self._there.put(visit.route(target).key, now + THERE_FOR)
                except UpstreamError as error:
                    problems.append(error)
                except Refused as refused:
                    if refused.status in NOT_HAD:  # else the registry tells the client itself why
                        problems.append(refused)
                if problems:
                    return

        await gatherResults([Deferred.fromCoroutine(lane()) for _ in range(AT_ONCE)])
        if problems:
            raise problems[0]

    # -- what is stored --------------------------------------------------------------------

    async def _named(self, visit: Visit, digest: Digest, depth: int = 0) -> set[Digest]:
        """The digests that a stored manifest and its stored parts name."""
        said = await self._stored(visit, digest)
        if said is None or depth == MOST_LEVELS:
            return set()
        named = {blob.digest for blob in _blobs(visit, said) if blob.digest is not None}
        for own in filter(None, (parse_digest(part.digest) for part in said.parts)):
            named |= {own} | await self._named(visit, own, depth + 1)
        return named

    async def _stored(self, visit: Visit, digest: Digest) -> Manifest | None:
        target = visit.target.named(digest, Kind.MANIFEST)
        return await self._images.stored_manifest(visit, target)

    def _here(self, visit: Visit, target: Target) -> bool:
        return self._images.public(visit.route(target).key)


def _blobs(visit: Visit, said: Manifest) -> Iterator[Target]:
    for text, _ in said.blobs:
        digest = parse_digest(text)
        if digest is not None:
            yield visit.target.named(digest, Kind.BLOB)


def _digests(parts: Iterable[Part]) -> Iterator[Digest]:
    """Those of images: what attests something is not pulled with them."""
    for part in parts:
        digest = None if part.about else parse_digest(part.digest)
        if digest is not None:
            yield digest


def _name(visit: Visit, digest: Digest) -> _Name:
    return visit.rule.upstreams[0], visit.target.name, digest.hex
