"""Builds the graph of the service from a configuration, starts it and stops it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from aimirror import systemd
from aimirror.cache.store import Store
from aimirror.certificates.authority import AuthorityError
from aimirror.certificates.contexts import BadCertificate, FileContexts
from aimirror.config import Config
from aimirror.config.model import Abandoned
from aimirror.core.fetching import ANYWHERE, Egress, Reach
from aimirror.core.proxies import ENVIRONMENT
from aimirror.core.rules import Rule
from aimirror.downloads.registry import Downloads
from aimirror.downloads.tools import Tools
from aimirror.pool.pool import Pool
from aimirror.upstream.agent import Agents
from aimirror.upstream.client import Upstream
from aimirror.web.access import AccessHook, ignore
from aimirror.web.ecosystems import ecosystems
from aimirror.web.forward import Seen
from aimirror.web.forwarding import forward_proxy
from aimirror.web.memo import Memo
from aimirror.web.mirror import Mirror
from aimirror.web.peers import base_url
from aimirror.web.respond import Handler
from aimirror.web.sendfile import FilePort
from aimirror.web.site import MirrorSite, refuse_forward
from aimirror.web.status import Status
from aimirror.web.tls import ServerTLSFactory
from aimirror.web.users import BadUsers

if TYPE_CHECKING:
    from aimirror.web.request import MirrorRequest

#: Seconds that running answers get to end when the service stops, and then the downloads.
GRACE = 3.0
#: Seconds that the start waits for workers; without them, small files are served all the same.
CREW_SECONDS = 5.0
#: Threads for disk work.
DISK_THREADS = 8


def egress_of(config: Config) -> Callable[[Rule], Egress]:
    """How requests of a rule leave: its own upstream may be anywhere, but nowhere forbidden."""
    listed = config.server.allow_private
    reach = evolve(ANYWHERE, networks=listed.networks, hosts=listed.hosts)

    def egress(rule: Rule) -> Egress:
        proxy = rule.upstream_proxy
        return _egress(config, config.server.upstream_proxy if proxy is None else proxy, reach)

    return egress


def _egress(config: Config, proxy: str, reach: Reach) -> Egress:
    """By one proxy, or by those that the environment names."""
    around, named = config.server.no_proxy, config.environment
    if proxy != ENVIRONMENT:
        return Egress(proxy, reach, around)
    return Egress(named.https, reach, (*around, *named.no_proxy), named.http)


class MirrorService(Service):
    """The whole mirror.

    ``failed(message)`` is called with one line when it can't start; ``ready(url)`` when it
    listens.  ``stopService`` returns a Deferred that waits for every download and child.
    """

    log = Logger()
    name = "aimirror"
    #: Where it listens, once it does.
    port = 0

    def __init__(
        self,
        config: Config,
        reactor: Any,
        *,
        failed: Callable[[str], None],
        ready: Callable[[str], None],
        access: AccessHook = ignore,
    ) -> None:
        self._config = config
        self._reactor = reactor
        self._failed = failed
        self._ready = ready
        self._access = access
        self._port: FilePort | None = None
        self._site: MirrorSite | None = None
        self._starting: Deferred[None] | None = None
        self._agents = Agents(reactor)
        self._seen = Seen()
        to_thread = self._to_thread
        self.store = Store(
            config.cache.dir,
            max_bytes=config.cache.max_bytes,
            evict=config.cache.lru_enabled,
            clock=reactor,
            defer_to_thread=to_thread,
        )
        self.pool = Pool(reactor, config.server.worker_count())
        self.tools = Tools(
            store=self.store,
            pool=self.pool,
            upstream=Upstream(self._agents, redirected=self._seen.note),
            clock=reactor,
            to_thread=to_thread,
            jitter=random.random,
            egress=egress_of(config),
            timeouts=config.server.timeouts,
            rate_limit=config.rate_limit,
            finish_abandoned=config.cache.keep_abandoned is Abandoned.FINISH,
        )
        self.downloads = Downloads(
            self.tools,
            most=config.server.max_concurrent_downloads,
            per_host=config.server.connections_per_host,
        )

    def _to_thread(self, function: Callable[..., Any], *args: Any, **kw: Any) -> Deferred[Any]:
        pool = self._reactor.getThreadPool()
        return deferToThreadPool(self._reactor, pool, function, *args, **kw)

    def startService(self) -> None:
        """Open the cache, spawn the workers, listen."""
        super().startService()  # type: ignore[no-untyped-call]
        self._reactor.suggestThreadPoolSize(DISK_THREADS)
        starting = Deferred.fromCoroutine(self._start())
        self._starting = starting.addErrback(self._not_started)

    async def _start(self) -> None:
        self.pool.start()
        await self.store.open()
        await self._crewed()
        site = self._site = self._build_site()
        server = self._config.server
        site.noisy = False
        self._port = self._listen(self._secured(site))
        self.port = self._port.getHost().port  # type: ignore[no-untyped-call]
        host = f"[{server.host}]" if ":" in server.host else server.host
        self._ready(f"{'https' if server.tls else 'http'}://{host}:{self.port}/")
        systemd.notify("READY=1")
        self._watchdog()

    async def _crewed(self) -> None:
        """Wait a moment for the workers, so that the first download has them at once."""
        until = self._reactor.seconds() + CREW_SECONDS
        while self._reactor.seconds() < until and not self.pool.crewed():
            pause: Deferred[None] = Deferred()
            self._reactor.callLater(0.02, pause.callback, None)
            await pause

    def _secured(self, site: MirrorSite) -> MirrorSite | ServerTLSFactory:
        """The site, inside TLS where the configuration has it."""
        files = self._config.server.tls
        if files is None:
            return site
        contexts = FileContexts(files.cert, files.key, self._reactor.seconds)
        return ServerTLSFactory(contexts, False, site, self._reactor)

    def _listen(self, site: MirrorSite | ServerTLSFactory) -> FilePort:
        """On the socket that the service manager passed in, else on our own."""
        server = self._config.server
        passed = systemd.take_socket()
        if passed is None:
            port = FilePort(server.port, site, interface=server.host, reactor=self._reactor)
            port.startListening()
            return port
        with passed:
            adopted: FilePort = FilePort._fromListeningDescriptor(  # type: ignore[no-untyped-call]
                self._reactor, passed.fileno(), passed.family, site
            )
        adopted.startListening()
        return adopted

    def _watchdog(self) -> None:
        """Tell the service manager that the reactor turns, as often as it wants to know."""
        every = systemd.watchdog_seconds()
        if every is not None and self.running:
            systemd.notify("WATCHDOG=1")
            self._reactor.callLater(every, self._watchdog)

    def _build_site(self) -> MirrorSite:
        config = self._config
        memo = Memo(config.cache.memory_bytes)
        self.store.changed = memo.invalidate
        public = config.server.public_host

        def reached(request: MirrorRequest) -> str:
            """By which base URL a client came here."""
            return request.proxied or base_url(request, public, config.server.trusted_proxies)

        def mirror_url(request: MirrorRequest) -> str:
            """What its links begin with; those of clients that have us for a proxy stay."""
            return "" if request.proxied else reached(request)

        worlds = ecosystems(config, self.tools, reached)
        mirror = Mirror(config.rules, self.tools, self.downloads, mirror_url, worlds)
        status = Status(self.store, self.downloads, self.pool, self._reactor)
        forward = self._forward(mirror) if config.forward.enabled else refuse_forward
        return MirrorSite(
            mirror.handle,
            self._reactor,
            forward=forward,
            named={"health": status.health, "stats": status.stats},
            memo=memo,
            access=self._access,
        )

    def _forward(self, mirror: Mirror) -> Handler:
        config = self._config

        def egress(reach: Reach) -> Egress:
            return _egress(config, config.server.upstream_proxy, reach)

        made = forward_proxy(config, mirror, self._agents, self._seen, egress, self._to_thread)
        return made.handle

    def _not_started(self, failure: Failure) -> None:
        if failure.check(CannotListenError):
            server = self._config.server
            cause = getattr(failure.value, "socketError", failure.value)
            problem = getattr(cause, "strerror", None) or cause
            self._failed(f"cannot listen on {server.host}:{server.port}: {problem}")
        elif failure.check(AuthorityError, BadCertificate, BadUsers):
            self._failed(failure.getErrorMessage())
        elif failure.check(OSError):
            self._failed(f"{self._config.cache.dir}: {failure.getErrorMessage()}")
        else:
            self.log.failure("cannot start", failure)
            self._failed(f"cannot start: {failure.getErrorMessage()}")

    def stopService(self) -> Deferred[None]:
        """Stop listening, end downloads (ranged ones can be resumed), wait for all children."""
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._starting is not None:
            await self._starting
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)
        systemd.notify("STOPPING=1")
        if self._site is not None:
            await self._site.drain(GRACE)
        await gatherResults([self._bounded(self.downloads.stop()), self.pool.stop()])
        await self.store.close()

    def _bounded(self, waiting: Deferred[None]) -> Deferred[None]:
        """Whatever hangs at the end is left behind."""
        return waiting.addTimeout(GRACE, self._reactor).addErrback(
            lambda f: self.log.warn("stopped without waiting: {problem}", problem=f.value)
        )
