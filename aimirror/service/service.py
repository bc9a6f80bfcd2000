"""Builds the graph of the service from a configuration, starts it and stops it."""

from __future__ import annotations

import os
import random
import secrets
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger, globalLogPublisher
from twisted.python.failure import Failure

from aimirror.admin.api import Rejected, Steering
from aimirror.admin.counting import CountedUpstream, counted, ended
from aimirror.admin.gate import Gate
from aimirror.admin.internal_client import InternalClient
from aimirror.admin.operations import ADMINISTRATION, NAMED, WELCOME, Operations, Parts, elsewhere
from aimirror.admin.own_token import make_token
from aimirror.admin.prefetch import Prefetcher
from aimirror.admin.prefetch_lists import bases
from aimirror.admin.recent import Recent, watched
from aimirror.cluster.questions import NAME as PEER_NAME
from aimirror.config import Config, ConfigError
from aimirror.config.applying import egress_of, needs_restart
from aimirror.config.model import Abandoned
from aimirror.exchanges.environment import Environment
from aimirror.exchanges.running import Downloads
from aimirror.forward.authority import AuthorityError
from aimirror.forward.contexts import BadCertificate, FileContexts
from aimirror.forward.proxy import Seen
from aimirror.mirror.handlers import BadHandler
from aimirror.server.access import Networks
from aimirror.server.access_log import AccessHook, ignore
from aimirror.server.admission import at_the_door
from aimirror.server.base_url import base_url
from aimirror.server.guard import Guard
from aimirror.server.listening import CannotListen, authority, bound, leads_here, opened, own_names
from aimirror.server.memo import Memo
from aimirror.server.request import Handler
from aimirror.server.site import MirrorSite
from aimirror.server.tally import Tally
from aimirror.server.tls import ServerTLSFactory
from aimirror.server.users import BadUsers
from aimirror.service import systemd
from aimirror.service.front import Edges, Front, made
from aimirror.service.tiering import keys, peers_of, reconfigure, tier_of
from aimirror.store.errors import CacheInUse
from aimirror.store.store import Store
from aimirror.upstream.agent import Agents
from aimirror.upstream.client import Upstream
from aimirror.upstream.hosts import Hosts
from aimirror.workers.apart.apart import Apart
from aimirror.workers.pool.pool import Pool, worker_environment

if TYPE_CHECKING:
    from aimirror.server.request import MirrorRequest
    from aimirror.server.sendfile import FilePort

#: Seconds that each further step gets to end when the service stops.
GRACE = 3.0
#: Seconds that the start waits for workers; without them, small files are served all the same.
CREW_SECONDS = 5.0
#: What is told of files that the configuration names, in one line.
_UNUSABLE = (AuthorityError, BadCertificate, BadHandler, BadUsers, ConfigError)
#: Threads for disk work.
DISK_THREADS = 8


class MirrorService(Service):
    """The whole mirror.

    ``failed(message)`` is called with one line when it can't start; ``ready(url)`` when it
    listens.  ``again`` reads the configuration anew for ``reload``; it raises ConfigError.
    ``stopService`` returns a Deferred that waits for every download and child.
    """

    log = Logger()
    name = "aimirror"
    #: Where it listens, once it does; and where administration does, if at an address of its own.
    port = admin_port = 0

    def __init__(
        self,
        config: Config,
        reactor: Any,
        *,
        failed: Callable[[str], None],
        ready: Callable[[str], None],
        access: AccessHook = ignore,
        again: Callable[[], Config] | None = None,
    ) -> None:
        self._config = config
        self._again = again
        self._tally = Tally()
        self._reactor = reactor
        self._failed = failed
        self._ready = ready
        self._recent = Recent(reactor)
        self._access = counted(self._tally, self._recent.noting(access))
        self._unwatch: Callable[[], None] = lambda: None
        #: Bound, until it is opened to clients.
        self._socket: socket.socket | None = None
        self._admin_socket: socket.socket | None = None
        self._ports: list[FilePort] = []
        self._admin_site: MirrorSite | None = None
        self._site: MirrorSite | None = None
        self._starting: Deferred[None] | None = None
        self._hosts = Hosts(reactor, config.server.connections_per_host)
        self._agents = Agents(reactor, hosts=self._hosts)
        self._seen = Seen()
        #: Ours alone, so that one mirror may be another's upstream.
        self._own_name = f"aimirror-{secrets.token_hex(4)}"
        to_thread = self._to_thread
        self.store = Store(
            config.cache.dir,
            max_bytes=config.cache.max_bytes,
            evict=config.cache.lru_enabled,
            clock=reactor,
            defer_to_thread=to_thread,
        )
        self.pool = Pool(reactor, config.server.worker_count(), hosts=self._hosts)
        self._apart = Apart(reactor, worker_environment(os.environ))
        env = Environment(
            store=self.store,
            pool=self.pool,
            upstream=CountedUpstream(
                Upstream(
                    self._agents,
                    redirected=self._seen.note,
                    name=self._own_name,
                    is_own=self._is_own,
                ),
                self._tally,
                reactor,
            ),
            clock=reactor,
            hosts=self._hosts,
            to_thread=to_thread,
            apart=self._apart,
            jitter=random.random,
            egress=egress_of(config),
        )
        # Connections of its own: a look into the tier does not wait for those of downloads.
        beside = Upstream(Agents(reactor), name=self._own_name)
        near = evolve(env, upstream=CountedUpstream(beside, self._tally, reactor))
        env = evolve(env, tier=tier_of(config, near), peers=peers_of(config, near))
        self.env = _configured(env, config)
        self.downloads = Downloads(
            self.env,
            most=config.server.max_concurrent_downloads,
            per_host=config.server.connections_per_host,
            ended=ended(self._tally, reactor.seconds),
        )
        self._memo = Memo(config.cache.memory_bytes)
        #: What changes something needs it, where no token is configured.
        self._own_token = ""
        self._front: Front
        self._operations: Operations | None = None

    def _to_thread(self, function: Callable[..., Any], *args: Any, **kw: Any) -> Deferred[Any]:
        pool = self._reactor.getThreadPool()
        return deferToThreadPool(self._reactor, pool, function, *args, **kw)

    def _is_own(self, url: str) -> bool:
        """Whether a URL leads to this service."""
        return leads_here(url, (self.port, self.admin_port), self._config.server.public_host)

    def privilegedStartService(self) -> None:
        """Take the address, which may need rights that are given up before the start.

        Raises CannotListen; without this call, ``failed`` is told.
        """
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        server = self._config.server
        self._socket = systemd.take_socket() or bound(server.host, server.port)
        admin = self._config.admin
        if admin.port is not None:
            self._admin_socket = bound(admin.host, admin.port)

    def startService(self) -> None:
        """Open the cache, spawn the workers, listen."""
        super().startService()  # type: ignore[no-untyped-call]
        self._unwatch = watched(globalLogPublisher, self._recent.lines)
        self._reactor.suggestThreadPoolSize(DISK_THREADS)
        starting = Deferred.fromCoroutine(self._start())
        self._starting = starting.addErrback(self._not_started)

    async def _start(self) -> None:
        if self._socket is None:
            self.privilegedStartService()
        self.pool.start()
        await self.store.open()
        self._own_token = make_token(self._config.cache.dir)
        await self._crewed()
        if self.env.tier is not None:
            self.env.tier.start()
        if self.env.peers is not None:
            self.env.peers.start()
        site = self._site = self._build_site()
        server = self._config.server
        taken, self._socket = self._socket, None
        assert taken is not None
        self.port = self._open(taken, site)
        taken, self._admin_socket = self._admin_socket, None
        if taken is not None:
            self._admin_site = self._build_admin_site()
            self.admin_port = self._open(taken, self._admin_site)
        where = authority(server.host, self.port)
        self._ready(f"{'https' if server.tls else 'http'}://{where}/")
        systemd.notify("READY=1")
        self._watchdog()

    def _open(self, taken: socket.socket, site: MirrorSite) -> int:
        """Let clients of a site in; the number of its port."""
        site.noisy = False
        port = opened(taken, self._secured(site), self._reactor)
        self._ports.append(port)
        number: int = port.getHost().port  # type: ignore[no-untyped-call]
        return number

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

    def _watchdog(self) -> None:
        """Tell the service manager that the reactor turns, as often as it wants to know."""
        every = systemd.watchdog_seconds()
        if every is not None and self.running:
            systemd.notify("WATCHDOG=1")
            self._reactor.callLater(every, self._watchdog)

    def _build_site(self) -> MirrorSite:
        config = self._config
        self.store.changed = self._memo.invalidate
        self._front = self._made(config)
        site = MirrorSite(
            at_the_door(lambda request: self._front.handle(request), self._own_name),
            self._reactor,
            forward=at_the_door(lambda request: self._front.forward(request), self._own_name),
            named=self._all_named(here=config.admin.port is None),
            memo=self._memo,
            access=self._access,
        )
        self._admit(site, config)
        steering = Steering(
            rules=lambda: self._config.rules,
            check=self._check_again,
            reload=self.reload,
            prefetcher=self._prefetcher,
        )
        parts = Parts(
            tally=self._tally,
            store=self.store,
            downloads=self.downloads,
            pool=self.pool,
            memo=self._memo,
            clock=self._reactor,
            recent=self._recent,
        )
        self._operations = Operations(
            parts,
            steering,
            self._gate,
            clients=lambda: len(site.channels),
            base=self._base,
            forward=lambda: self._config.forward.enabled,
        )
        self._front = evolve(self._front, named=self._operations.named(self._front.login))
        self._operations.start()
        self._operations.schedules.use(config.prefetch, config.folder)
        return site

    def _build_admin_site(self) -> MirrorSite:
        """What listens at ``admin.port``: the mirror's own paths and nothing mirrored."""
        site = MirrorSite(
            elsewhere,
            self._reactor,
            named=self._all_named(here=True),
            memo=Memo(0),
            access=self._access,
        )
        self._admit(site, self._config)
        return site

    def _all_named(self, *, here: bool) -> dict[str, Handler]:
        """The mirror's own paths; administration among them only if it is ``here``."""
        handlers = {name: self._named(name) for name in NAMED}
        if self.env.peers is not None:
            handlers[PEER_NAME] = lambda request: self._front.owner(request)
        if self._config.admin.port is not None:
            handlers["aimirror"] = self._named(ADMINISTRATION if here else WELCOME)
        return {name: at_the_door(each, self._own_name) for name, each in handlers.items()}

    def _named(self, name: str) -> Handler:
        return lambda request: self._front.named[name](request)

    def _made(self, config: Config) -> Front:
        """What answers by a configuration; raises what ``_not_started`` and ``reload`` explain."""
        edges = Edges(self.env, self.downloads, self._agents, self._seen, self._tally)
        front = made(config, edges)
        if self._operations is not None:
            front = evolve(front, named=self._operations.named(front.login))
        return front

    def _admit(self, site: MirrorSite, config: Config) -> None:
        """Who may connect, and what clients may take."""
        server = config.server
        guard = Guard(
            Networks(server.allow, server.deny),
            server.limits.client_rate,
            server.trusted_proxies,
            self._tally,
            self._reactor.seconds,
        )
        site.limits = server.limits
        site.proxies = server.trusted_proxies
        site.guard = None if guard.idle else guard

    def _base(self, request: MirrorRequest) -> str:
        """By which URL a client came to the mirror."""
        server = self._config.server
        return base_url(request, server.public_host, server.trusted_proxies)

    def _gate(self) -> Gate:
        admin = self._config.admin
        return Gate(admin.token, admin.hosts, self._own_token)

    def _prefetcher(self, asked: str) -> Prefetcher:
        """Asks as a client does, but that it needs no port, no network and no login."""
        site = MirrorSite(self._front.inside, self._reactor, memo=Memo(0), access=self._access)
        own = own_names(self._config.server.host, self.port, self._config.server.public_host)
        mounts = bases(self._config.rules)
        return Prefetcher(InternalClient(site, self._reactor), mounts, own | {asked.lower()})

    # -- reload ----------------------------------------------------------------------------

    def _read_again(self) -> Config:
        if self._again is None:
            raise Rejected("the configuration can't be read again")
        try:
            return self._again()
        except ConfigError as error:
            raise Rejected(str(error)) from None

    def _check_again(self) -> str:
        config = self._read_again()
        return f"{config.source}: right; {len(config.rules)} rules"

    def reload(self) -> tuple[str, ...]:
        """Use the configuration as it is now; the keys that only a restart can change.

        No connection and no download is lost.  Raises Rejected, and changes nothing, when the new
        one can't be used.
        """
        config, old, env = self._read_again(), self._config, self.env
        self.env = _configured(env, config)
        try:
            renewed = keys(config) if config.cluster.key_file else None
            front = self._made(config)
        except (*_UNUSABLE, OSError, ValueError) as error:
            self.env = env
            raise Rejected(str(error)) from None
        self._config, self._front = config, front
        server = config.server
        reconfigure(self.env, config, renewed)
        self.downloads.reconfigure(
            self.env, most=server.max_concurrent_downloads, per_host=server.connections_per_host
        )
        self.store.resize(config.cache.max_bytes, evict=config.cache.lru_enabled)
        for site in (self._admin_site, self._site):
            if site is not None:
                self._admit(site, config)
        self._memo.invalidate()
        if self._operations is not None:
            self._operations.schedules.use(config.prefetch, config.folder)
        self.log.info("reloaded {source}", source=config.source)
        return needs_restart(old, config)

    def hang_up(self) -> None:
        """SIGHUP: reload, and log what is wrong."""
        try:
            late = self.reload()
        except Rejected as bad:
            self.log.error("the old configuration stays: {problem}", problem=str(bad))
            return
        if late:
            self.log.warn("needs a restart: {keys}", keys=", ".join(late))

    def _not_started(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, (CannotListen, *_UNUSABLE)):
            self._failed(str(error))
        elif isinstance(error, CacheInUse):
            self._failed(error.strerror or str(error))
        elif isinstance(error, OSError):
            self._failed(f"{self._config.cache.dir}: {error.strerror or error}")
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
        for taken in (self._socket, self._admin_socket):
            if taken is not None:
                taken.close()
        for port in self._ports:
            await maybeDeferred(port.stopListening)
        systemd.notify("STOPPING=1")
        if self._operations is not None:
            await self._bounded(self._operations.stop())
        for site in (self._admin_site, self._site):
            if site is not None:
                await site.drain(self._config.server.limits.stop_time)
        if self.env.peers is not None:
            self.env.peers.stop()
        if self.env.tier is not None:
            await self._bounded(self.env.tier.stop())
        await gatherResults(
            [self._bounded(self.downloads.stop()), self.pool.stop(), self._apart.stop()]
        )
        await self.store.close()
        self._unwatch()

    def _bounded(self, waiting: Deferred[None]) -> Deferred[None]:
        """Whatever hangs at the end is left behind."""
        return waiting.addTimeout(GRACE, self._reactor).addErrback(
            lambda f: self.log.warn("stopped without waiting: {problem}", problem=f.value)
        )


def _configured(env: Environment, config: Config) -> Environment:
    """The edges of downloads as a configuration has them."""
    return evolve(
        env,
        egress=egress_of(config),
        timeouts=config.server.timeouts,
        rate_limit=config.rate_limit,
        rate_hours=config.rate_schedule,
        finish_abandoned=config.cache.keep_abandoned is Abandoned.FINISH,
    )
