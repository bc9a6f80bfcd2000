"""Builds the graph of the service from a configuration, starts it and stops it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger, globalLogPublisher
from twisted.python.failure import Failure

from aimirror.admin.api import Rejected, Steering
from aimirror.admin.counting import counted
from aimirror.admin.gate import Gate
from aimirror.admin.internal_client import InternalClient
from aimirror.admin.operations import Operations, Parts
from aimirror.admin.own_token import make_token
from aimirror.admin.prefetch import Prefetcher
from aimirror.admin.prefetch_lists import bases
from aimirror.admin.recent import Recent, watched
from aimirror.config import Config, ConfigError
from aimirror.config.applying import needs_restart
from aimirror.forward.authority import AuthorityError
from aimirror.forward.contexts import BadCertificate
from aimirror.mirror.handlers import BadHandler
from aimirror.server.access_log import AccessHook, ignore
from aimirror.server.listening import CannotListen, authority, own_names
from aimirror.server.tally import Tally
from aimirror.server.users import BadUsers
from aimirror.service import systemd
from aimirror.service.doors import Doors
from aimirror.service.edges import configured, edges
from aimirror.service.front import Front, made
from aimirror.service.sites import Sites
from aimirror.service.tiering import keys, reconfigure
from aimirror.store.errors import CacheInUse

if TYPE_CHECKING:
    pass

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
        self._unwatch: Callable[[], None] = lambda: None
        self._doors = Doors(reactor)
        self._starting: Deferred[None] | None = None
        #: Ours alone, so that one mirror may be another's upstream.
        self._own_name = f"aimirror-{secrets.token_hex(4)}"

        def is_own(url: str) -> bool:
            return self._doors.lead_here(url, self._config)

        self._edges = edges(config, reactor, self._tally, self._own_name, is_own)
        self.env, self.downloads = self._edges.env, self._edges.downloads
        self.store, self.pool = self._edges.store, self._edges.pool
        access = counted(self._tally, self._recent.noting(access))
        self._sites = Sites(config, reactor, self._tally, access, self._own_name)
        #: What changes something needs it, where no token is configured.
        self._own_token = ""
        self._operations: Operations | None = None

    @property
    def port(self) -> int:
        """Where it listens, once it does."""
        return self._doors.port

    @property
    def admin_port(self) -> int:
        """Where administration does, if at an address of its own."""
        return self._doors.admin_port

    def privilegedStartService(self) -> None:
        """Take the address, which may need rights that are given up before the start.

        Raises CannotListen; without this call, ``failed`` is told.
        """
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        self._doors.take(self._config)

    def startService(self) -> None:
        """Open the cache, spawn the workers, listen."""
        super().startService()  # type: ignore[no-untyped-call]
        self._unwatch = watched(globalLogPublisher, self._recent.lines)
        self._reactor.suggestThreadPoolSize(DISK_THREADS)
        starting = Deferred.fromCoroutine(self._start())
        self._starting = starting.addErrback(self._not_started)

    async def _start(self) -> None:
        self._doors.take(self._config)
        self.pool.start()
        await self.store.open()
        self._own_token = make_token(self._config.cache.dir)
        await self._crewed()
        if self.env.tier is not None:
            self.env.tier.start()
        if self.env.peers is not None:
            self.env.peers.start()
        self._build()
        peers, server = self.env.peers is not None, self._config.server
        self._doors.open(self._config, self._sites.mirror(peers))
        if self._config.admin.port is not None:
            self._doors.open_admin(self._config, self._sites.administration(peers))
        where = authority(server.host, self.port)
        self._ready(f"{'https' if server.tls else 'http'}://{where}/")
        systemd.notify("READY=1")
        self._watchdog()

    async def _crewed(self) -> None:
        """Wait a moment for the workers, so that the first download has them at once."""
        until = self._reactor.seconds() + CREW_SECONDS
        while self._reactor.seconds() < until and not self.pool.crewed():
            pause: Deferred[None] = Deferred()
            self._reactor.callLater(0.02, pause.callback, None)
            await pause

    def _watchdog(self) -> None:
        """Tell the service manager that the reactor turns, as often as it wants to know."""
        every = systemd.watchdog_seconds()
        if every is not None and self.running:
            systemd.notify("WATCHDOG=1")
            self._reactor.callLater(every, self._watchdog)

    def _build(self) -> None:
        """What answers, and what watches over it."""
        config, sites = self._config, self._sites
        self.store.changed = sites.memo.invalidate
        front = self._made(config)
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
            memo=sites.memo,
            clock=self._reactor,
            recent=self._recent,
        )
        self._operations = Operations(
            parts, steering, self._gate, sites.clients, sites.answering, sites.base, self._forwards
        )
        sites.use(config, evolve(front, named=self._operations.named(front.login)))
        self._operations.start()
        self._operations.schedules.use(config.prefetch, config.folder)

    def _made(self, config: Config) -> Front:
        """What answers by a configuration; raises what ``_not_started`` and ``reload`` explain."""
        front = made(config, evolve(self._edges, env=self.env))
        if self._operations is not None:
            front = evolve(front, named=self._operations.named(front.login))
        return front

    def _forwards(self) -> bool:
        return self._config.forward.enabled

    def _gate(self) -> Gate:
        return Gate(self._config.admin.token, self._config.admin.hosts, self._own_token)

    def _prefetcher(self, asked: str) -> Prefetcher:
        """Asks as a client does, but that it needs no port, no network and no login."""
        own = own_names(self._config.server.host, self.port, self._config.server.public_host)
        mounts = bases(self._config.rules)
        client = InternalClient(self._sites.inside(), self._reactor)
        return Prefetcher(client, mounts, own | {asked.lower()})

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
        self.env = configured(env, config)
        try:
            renewed = keys(config) if config.cluster.key_file else None
            front = self._made(config)
        except (*_UNUSABLE, OSError, ValueError) as error:
            self.env = env
            raise Rejected(str(error)) from None
        self._config = config
        server = config.server
        reconfigure(self.env, config, renewed)
        self.downloads.reconfigure(
            self.env, most=server.max_concurrent_downloads, per_host=server.connections_per_host
        )
        self.store.resize(config.cache.max_bytes, evict=config.cache.lru_enabled)
        self._sites.use(config, front)
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
        await self._doors.close()
        systemd.notify("STOPPING=1")
        if self._operations is not None:
            await self._bounded(self._operations.stop())
        await self._sites.drain(self._config.server.limits.stop_time)
        if self.env.peers is not None:
            self.env.peers.stop()
        if self.env.tier is not None:
            await self._bounded(self.env.tier.stop())
        await gatherResults(
            [self._bounded(self.downloads.stop()), self.pool.stop(), self._edges.apart.stop()]
        )
        await self.store.close()
        self._unwatch()

    def _bounded(self, waiting: Deferred[None]) -> Deferred[None]:
        """Whatever hangs at the end is left behind."""
        return waiting.addTimeout(GRACE, self._reactor).addErrback(
            lambda f: self.log.warn("stopped without waiting: {problem}", problem=f.value)
        )
