"""Fetching ahead: what a list names, asked for as a client would, a few at a time."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from html import unescape
from typing import TYPE_CHECKING

from attrs import frozen
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version
from twisted.internet.defer import Deferred, gatherResults

from aimirror.admin import prefetch_lists as prefetch
from aimirror.admin.internal_client import InternalClient, NotFetched
from aimirror.admin.jobs import Job
from aimirror.admin.prefetch_images import MANIFESTS, Images
from aimirror.admin.prefetch_lists import BadList, Image, Interpreter, Items, Project, Repository
from aimirror.admin.prefetch_needs import Closure, environment
from aimirror.http.headers import Headers
from aimirror.http.json_text import parse_json
from aimirror.routing.mounts import Mount

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Files fetched at one time; each large one has many connections of its own.
AT_ONCE = 4
#: Bytes of a listing: the index pages of the largest projects have a few megabytes.
MAX_LISTING = 64 << 20

_SIMPLE = Headers([("Accept", "application/vnd.pypi.simple.v1+json, text/html;q=0.1")])
_ANCHOR = re.compile(r"<a\s([^>]*)>([^<]*)</a>", re.IGNORECASE)
_HREF = re.compile(r'href\s*=\s*"([^"]*)"', re.IGNORECASE)


@frozen(kw_only=True)
class Order:
    """What somebody wants to have fetched ahead."""

    items: Items = Items()
    repository: Repository | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    image: Image | None = None
    interpreter: Interpreter = Interpreter()
    #: The path of the Python index.
    index: str = "/simple"
    #: Bytes per second on average, 0 without limit.
    rate_limit: int = 0
    #: Whether what Python projects need in turn is wanted, too.
    dependencies: bool = False


class Prefetcher:
    """Carries orders out.

    ``mounts`` say under which paths upstream URLs are served here, ``own`` with which
    authorities (host and port) URLs mean the mirror itself, as they do in pages and lock files
    that came by it.
    """

    def __init__(
        self, inside: InternalClient, mounts: tuple[Mount, ...], own: frozenset[str]
    ) -> None:
        self._inside = inside
        self._mounts = mounts
        self._own = own

    async def run(self, order: Order, job: Job) -> None:
        """Resolve the order to paths and fetch them; raises BadList when nothing can be done."""
        for line in order.items.skipped:
            job.fail(line, "no file of a mirror")
        paths = [*self._served(order.items.urls, job)]
        projects = order.items.projects
        if order.dependencies and not any(each.hashes for each in projects):  # those are complete
            closure = Closure(partial(self._look, order=order), environment(order.interpreter))
            projects = await closure.complete(projects)
        for project in projects:
            paths += await self._project(project, order, job)
        if order.repository is not None:
            paths += await self._repository(order.repository, order)
        if order.image is not None:
            paths += await Images(self._text).paths(order.image, order.interpreter.platform)
        unique = list(dict.fromkeys(paths))
        job.total = len(unique) + job.failed
        job.done = job.failed
        await self._fetch_all(unique, job, order.rate_limit)

    async def _fetch_all(self, paths: Sequence[str], job: Job, rate_limit: int) -> None:
        waiting, many = iter(paths), 1 if rate_limit else AT_ONCE
        rest = self._rest(job, rate_limit)
        lanes = [Deferred.fromCoroutine(self._lane(waiting, job, rest)) for _ in range(many)]
        try:
            await gatherResults(lanes, consumeErrors=True)
        finally:
            for lane in lanes:
                lane.cancel()

    def _rest(self, job: Job, rate_limit: int) -> Callable[[], Deferred[None]]:
        """What waits until the bytes of a job are no more than its rate allows by then."""
        began, before = self._inside.clock.seconds(), job.bytes

        def rest() -> Deferred[None]:
            ahead = 0.0
            if rate_limit:
                passed = self._inside.clock.seconds() - began
                ahead = (job.bytes - before) / rate_limit - passed
            pause: Deferred[None] = Deferred(lambda _: call.cancel())
            call = self._inside.clock.callLater(max(0.0, ahead), pause.callback, None)
            return pause

        return rest

    async def _lane(
        self, waiting: Iterator[str], job: Job, rest: Callable[[], Deferred[None]]
    ) -> None:
        def got(count: int) -> None:
            job.bytes += count

        for path in waiting:
            job.begin(path.partition("?")[0])
            try:
                headers = MANIFESTS if "/manifests/" in path else None
                fetched = await self._inside.get(path, headers, got=got, sized=job.expect)
                job.cached += fetched.cached
            except NotFetched as error:
                job.fail(path.partition("?")[0], str(error))
            job.done += 1
            await rest()

    def _served(self, wanted: Iterable[str], job: Job) -> Iterator[str]:
        for url in wanted:
            path = url if url.startswith("/") else prefetch.served_path(url, self._mounts)
            if path is None and _authority(url) in self._own:
                path = _own_path(url)
            if path is None:
                job.fail(url.partition("?")[0], "no rule serves it")
            else:
                yield path

    async def _text(self, path: str, headers: Headers | None = None) -> str:
        fetched = await self._inside.get(path, headers, keep=MAX_LISTING)
        return fetched.body.decode("utf-8", "replace")

    # -- Python ----------------------------------------------------------------------------

    async def _project(self, project: Project, order: Order, job: Job) -> list[str]:
        page = f"{order.index.rstrip('/')}/{project.name}/"
        try:
            files = _files(await self._text(page, _SIMPLE))
            chosen = _chosen(project, files, order.interpreter)
        except (NotFetched, BadList) as error:
            job.fail(project.name, str(error))
            return []
        if not chosen:
            job.fail(f"{project.name}{project.specifier}", "no file fits")
        return [page, *self._local(page, chosen, job)]

    async def _look(self, project: Project, order: Order) -> tuple[str, str] | None:
        """The newest version that fits and its METADATA; None when there is none."""
        page = f"{order.index.rstrip('/')}/{project.name}/"
        try:
            chosen = _chosen(project, _files(await self._text(page, _SIMPLE)), order.interpreter)
        except (NotFetched, BadList):
            return None
        version = next((v for file in chosen if (v := file.version())), None)
        wheel = next((file for file in chosen if file.name.endswith(".whl")), None)
        if version is None:
            return None
        metadata = ""
        for path in self._local(page, [wheel] if wheel is not None else [], Job(0, "", "", 0.0)):
            with contextlib.suppress(NotFetched):  # its own files are wanted all the same
                metadata = await self._text(f"{path.partition('?')[0]}.metadata")
        return str(version), metadata

    def _local(self, page: str, files: Iterable[_File], job: Job) -> Iterator[str]:
        """Paths of links, which the mirror has led to itself, or left where they were."""
        for file in files:
            link = file.url.partition("#")[0]
            if link.startswith("http") and _authority(link) not in self._own:
                yield from self._served([link], job)
            elif link.startswith("http"):
                yield _own_path(link)
            else:
                yield _resolved(page, link)

    # -- Hugging Face, images --------------------------------------------------------------

    async def _repository(self, repository: Repository, order: Order) -> list[str]:
        try:
            listing = await self._text(repository.listing)
        except NotFetched as error:
            raise BadList(f"{repository.listing}: {error}") from None
        return repository.files(listing, order.include, order.exclude)


@frozen
class _File:
    """One file of an index page."""

    name: str
    url: str
    hashes: frozenset[str]
    yanked: bool

    def version(self) -> Version | None:
        """By its name; None when that tells none."""
        try:
            if self.name.endswith(".whl"):
                return parse_wheel_filename(self.name)[1]
            return parse_sdist_filename(self.name)[1]
        except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
            return None


def _files(page: str) -> list[_File]:
    """The files of a page of the simple API (PEP 503, PEP 691)."""
    if page.lstrip().startswith("{"):
        try:
            files = parse_json(page)["files"]
            return [
                _File(
                    file["filename"],
                    file["url"],
                    frozenset(f"{k}:{v}" for k, v in file.get("hashes", {}).items()),
                    bool(file.get("yanked")),
                )
                for file in files
            ]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BadList("the index page can't be read") from None
    names = []
    for attributes, text in _ANCHOR.findall(page):
        href = _HREF.search(attributes)
        if href is not None:
            url = unescape(href[1])
            kind, _, digest = url.partition("#")[2].partition("=")
            hashes = frozenset([f"{kind}:{digest}"] if digest else [])
            names.append(_File(text.strip(), url, hashes, "data-yanked" in attributes))
    return names


def _chosen(project: Project, files: list[_File], interpreter: Interpreter) -> list[_File]:
    """The files with the hashes asked for, else those of the newest version that fits."""
    if project.hashes:
        return [f for f in files if f.hashes & project.hashes and interpreter.takes(f.name)]
    try:
        specifiers = SpecifierSet(project.specifier)
    except InvalidSpecifier:
        raise BadList(f"{project.specifier!r} is no version specifier") from None
    versions = {file.name: file.version() for file in files}
    pinned = project.specifier.startswith("==")
    allowed = [v for f in files if (v := versions[f.name]) and (pinned or not f.yanked)]
    fitting = list(specifiers.filter(allowed))
    if not fitting:
        return []
    newest = max(fitting)
    of_newest = [f for f in files if versions[f.name] == newest and interpreter.takes(f.name)]
    wheels = [f for f in of_newest if f.name.endswith(".whl")]
    return wheels if wheels and interpreter != Interpreter() else of_newest


def _resolved(page: str, link: str) -> str:
    """A relative link of a page, as a path."""
    if link.startswith("/"):
        return link
    parts = page.split("/")[:-1]
    for part in link.split("/"):
        if part == "..":
            parts = parts[:-1] or [""]
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _authority(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2].lower()


def _own_path(url: str) -> str:
    return "/" + url.partition("#")[0].partition("://")[2].partition("/")[2]
