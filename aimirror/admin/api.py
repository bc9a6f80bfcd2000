"""The API below ``/aimirror/api/``: JSON in, JSON out; see docs/operations.md for its table."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from attrs import frozen

from aimirror.admin import prefetch_lists as prefetch
from aimirror.admin.draining import Draining
from aimirror.admin.entries import BadSelection, Entries, Selection
from aimirror.admin.gate import Gate
from aimirror.admin.inputs import Words, body_of, query_of
from aimirror.admin.jobs import Job, Jobs, TooManyJobs
from aimirror.admin.looks import Looks
from aimirror.admin.openapi import document
from aimirror.admin.orders import order_of
from aimirror.admin.prefetch import Prefetcher
from aimirror.admin.prefetch_lists import BadList
from aimirror.config.offers import moved, offered
from aimirror.ecosystems.registry import setting
from aimirror.http.headers import Headers
from aimirror.routing.rules import Refused, Rule, route_of
from aimirror.server.answers import Answer
from aimirror.server.errors import error_answer
from aimirror.settings.setting import Address
from aimirror.store.listing import MOST_LISTED, Listing, Order
from aimirror.store.verification import Verification

if TYPE_CHECKING:
    from aimirror.server.memo import Memo
    from aimirror.server.request import MirrorRequest
    from aimirror.store.store import Store

#: Below which the API lies.
BASE = "/aimirror/api/"
#: Entries that a listing tells unless it is asked for another number.
PAGE = 50

#: The one call that goes on for ever.
STREAM = ("GET", "events")

Told = dict[str, Any]
_Call = Callable[["MirrorRequest"], Awaitable[Answer | Told]]


class Rejected(Exception):
    """A new configuration that can't be used; the text is its one-line message."""


@frozen(kw_only=True)
class Steering:
    """What the service lets administrators do beyond the cache.

    ``check`` reads the configuration anew and says what it holds, ``reload`` also puts it to use
    and says what needs a restart; both raise Rejected.
    """

    rules: Callable[[], tuple[Rule, ...]]
    check: Callable[[], str]
    reload: Callable[[], tuple[str, ...]]
    #: For whom has asked the mirror by this authority (Host).
    prefetcher: Callable[[str], Prefetcher]


class Api:
    """Answers the API for those whom ``gate`` lets pass.

    ``overview`` tells everything at a glance, ``events`` streams it.
    """

    def __init__(
        self,
        store: Store,
        memo: Memo,
        entries: Entries,
        jobs: Jobs,
        steering: Steering,
        gate: Callable[[], Gate],
        overview: Callable[[], Awaitable[Told]],
        events: Callable[[MirrorRequest], Awaitable[None]],
        looks: Looks,
        draining: Draining,
    ) -> None:
        self._draining = draining
        self._store = store
        self._memo = memo
        self._entries = entries
        self._jobs = jobs
        self._steering = steering
        self._gate = gate
        self._overview = overview
        self._events = events
        self._looks = looks
        self._calls: dict[tuple[str, str], _Call] = {
            ("GET", "overview"): self._tell_overview,
            ("GET", "entries"): self._list,
            ("GET", "entry"): self._inspect,
            ("POST", "purge"): self._purge,
            ("POST", "pin"): self._pin,
            ("POST", "verify"): self._verify,
            ("POST", "prefetch"): self._prefetch,
            ("GET", "jobs"): self._list_jobs,
            ("POST", "cancel"): self._cancel,
            ("GET", "route"): self._route,
            ("GET", "clients"): self._clients,
            ("POST", "check"): self._check,
            ("POST", "reload"): self._reload,
            ("GET", "drain"): self._drained,
            ("POST", "drain"): self._drain,
            ("GET", "openapi.json"): self._describe,
            **{("GET", name): call for name, call in looks.calls.items()},
        }
        #: Every call there is, that which is a stream included.
        self.names = frozenset({*self._calls, STREAM})

    async def answer(self, request: MirrorRequest) -> Answer | None:
        """Answer one request; None when it was streamed."""
        method = "GET" if request.head.method == "HEAD" else request.head.method
        objection = self._gate().objection(request, changes=method != "GET")
        if objection is not None:
            return objection
        name = request.raw_path.removeprefix(BASE)
        if (method, name) == STREAM:
            await self._events(request)
            return None
        call = self._calls.get((method, name))
        if call is None:
            return self._uncalled(name)
        try:
            answer = await call(request)
        except (BadSelection, BadList) as bad:
            return error_answer(400, "bad request", str(bad))
        except TooManyJobs:
            return error_answer(429, "too many jobs", "wait for one to end", retry_after=10)
        return answer if isinstance(answer, Answer) else json_answer(answer)

    def _uncalled(self, name: str) -> Answer:
        allowed = ", ".join(method for method, other in self._calls if other == name)
        if not allowed:
            return error_answer(404, "no such call", "see docs/operations.md")
        return error_answer(405, headers=Headers([("Allow", allowed)]))

    async def _tell_overview(self, request: MirrorRequest) -> Told:
        return await self._overview()

    async def _describe(self, request: MirrorRequest) -> Told:
        return document()

    # -- entries ---------------------------------------------------------------------------

    async def _list(self, request: MirrorRequest) -> Told:
        words = query_of(request)
        order = words.text("order", Order.LARGEST.value)
        if order not in [each.value for each in Order]:
            raise BadSelection(f"order: one of {', '.join(each.value for each in Order)}")
        older, count = words.number("older_than"), words.number("count")
        wanted = Listing(
            prefix=words.text("prefix"),
            contains=words.text("contains"),
            rule=words.text("rule") or None,
            pinned=words.flag("pinned"),
            received_before=None if older is None else request.site.seconds() - older,
            order=Order(order),
            count=min(MOST_LISTED, int(PAGE if count is None else count)),
            offset=int(words.number("offset") or 0),
        )
        return {"entries": await self._entries.listed(wanted)}

    async def _inspect(self, request: MirrorRequest) -> Told:
        selection = _meant(query_of(request), request)
        if not selection.exact:
            raise BadSelection("url or name is wanted")
        return {"entries": await self._entries.details(selection)}

    async def _purge(self, request: MirrorRequest) -> Told:
        words = await body_of(request)
        dry = bool(words.flag("dry_run"))
        count, size = await self._entries.purge(_meant(words, request), dry=dry)
        self._looks.changed()
        return {"purged": count, "bytes": size, "dry_run": dry}

    async def _pin(self, request: MirrorRequest) -> Told:
        words = await body_of(request)
        pinned = words.flag("pinned")
        matched, changed = await self._entries.pin(_meant(words, request), pinned is not False)
        self._looks.changed()
        return {"matched": matched, "changed": changed}

    # -- jobs ------------------------------------------------------------------------------

    async def _verify(self, request: MirrorRequest) -> Told:
        async def run(job: Job) -> None:
            usage, proof = self._store.usage(), Verification()
            job.total, job.total_bytes = usage.files, usage.blobs

            def look() -> None:
                job.done, job.failed = proof.checked + proof.unreadable, proof.unreadable
                job.bytes = proof.hashed

            job.look = look
            await self._store.verify(proof)
            look()
            job.message = proof.told()
            if proof.bad:
                self._memo.invalidate()

        return self._jobs.start("verify", "the whole cache", run).told()

    async def _prefetch(self, request: MirrorRequest) -> Told:
        order, what = order_of(await body_of(request))
        prefetcher = self._steering.prefetcher(request.headers.get("host") or "")
        return self._jobs.start("prefetch", what, lambda job: prefetcher.run(order, job)).told()

    async def _list_jobs(self, request: MirrorRequest) -> Told:
        number = query_of(request).number("id")
        if number is None:
            return {"jobs": [job.told() for job in self._jobs.all()]}
        return {"jobs": [self._job(number).told()]}

    async def _cancel(self, request: MirrorRequest) -> Told:
        job = self._job((await body_of(request)).number("id"))
        if job.work is not None:
            job.work.cancel()
        return job.told()

    def _job(self, number: float | None) -> Job:
        if number is None:
            raise BadSelection("id: the number of a job is wanted")
        job = self._jobs.find(int(number))
        if job is None:
            raise BadSelection(f"there is no job {number:.0f}")
        return job

    # -- rules and configuration -----------------------------------------------------------

    async def _route(self, request: MirrorRequest) -> Told:
        given = query_of(request).text("url")
        rules = self._steering.rules()
        path, _, query = _as_path(given, rules).partition("?")
        taken = route_of(rules, path, query)
        if taken is None:
            return {"rule": None, "why": "no rule takes that path"}
        if isinstance(taken, Refused):
            return {"rule": None, "why": taken.reason}
        stored = self._store.entries(taken.key)
        return {
            "rule": taken.rule.name,
            "path": path,
            "urls": [url.partition("?")[0] for url in taken.urls],
            "strategy": taken.rule.strategy.value,
            "ecosystem": taken.rule.ecosystem,
            "immutable": taken.immutable,
            "digest": taken.digest.algorithm if taken.digest else None,
            "stored": len(stored),
        }

    async def _clients(self, request: MirrorRequest) -> Told:
        """What each client that the rules serve is told, for a mirror at a URL."""
        rules, url = self._steering.rules(), query_of(request).text("url").rstrip("/")
        address = Address(url or f"http://{request.headers.get('host')}", moved(rules))
        clients = []
        for name in offered(rules):
            wanted = setting(name, address)
            clients.append(
                {"name": name, "path": wanted.path, "text": wanted.text, "note": wanted.note}
            )
        return {"clients": clients}

    async def _drained(self, request: MirrorRequest) -> Told:
        return self._draining.told()

    async def _drain(self, request: MirrorRequest) -> Told:
        self._draining.on = (await body_of(request)).flag("on") is not False
        return self._draining.told()

    async def _check(self, request: MirrorRequest) -> Answer | Told:
        try:
            return {"ok": True, "message": self._steering.check()}
        except Rejected as bad:
            return json_answer({"ok": False, "message": str(bad)}, 422)

    async def _reload(self, request: MirrorRequest) -> Answer | Told:
        try:
            return {"ok": True, "needs_restart": list(self._steering.reload())}
        except Rejected as bad:
            return json_answer({"ok": False, "message": str(bad)}, 422)


def json_answer(value: Told, status: int = 200) -> Answer:
    """An answer that no cache keeps."""
    fields = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    body = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
    return Answer(status=status, headers=Headers(fields), body=body, ranges=False)


def _meant(words: Words, request: MirrorRequest) -> Selection:
    """What is selected; a URL of the mirror, as the client has it, is a path of it."""
    return Selection(
        url=own_path(words.text("url"), request.headers.get("host") or ""),
        name=words.text("name"),
        prefix=words.text("prefix"),
        rule=words.text("rule") or None,
        older_than=words.number("older_than"),
        everything=bool(words.flag("everything")),
    )


def own_path(url: str, authority: str) -> str:
    """The path of a URL that leads to the mirror, as one under this host and port; else the URL."""
    scheme, is_url, rest = url.partition("://")
    host, _, path = rest.partition("/")
    ours = is_url and scheme.lower() in ("http", "https") and host.lower() == authority.lower()
    return f"/{path}" if ours else url


def _as_path(given: str, rules: tuple[Rule, ...]) -> str:
    """A path of the mirror for a path, or for a URL of an upstream or of the mirror itself."""
    if given.startswith("/"):
        return given
    served = prefetch.served_path(given, prefetch.bases(rules))
    return served or "/" + given.partition("://")[2].partition("/")[2]
