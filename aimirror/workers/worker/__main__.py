"""``python -m aimirror.workers.worker``: a worker process; its parent is at WORKER_FD."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import Any

#: Threads beside those that hash: for names, which are resolved in the same pool.
RESOLVER_THREADS = 8
#: Idle connections kept to one host: as many as a download may have, so that each is used again.
IDLE_CONNECTIONS = 32


def main() -> None:
    """Serve the parent until it leaves or says stop.

    A Ctrl-C reaches the whole process group, but the parent decides when its workers leave;
    hence the imports, which take half a second, come after the signal is ignored.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _log_to_stderr()
    from aimirror.platform import install_reactor

    install_reactor()
    from twisted.internet import reactor

    _serve(reactor)


def _serve(reactor: Any) -> None:
    from twisted.internet.error import ReactorNotRunning

    from aimirror.collector import collect_rarely
    from aimirror.monotonic import steady
    from aimirror.upstream.agent import Agents
    from aimirror.workers.wire.link import WORKER_FD, adopt
    from aimirror.workers.worker.face import Face
    from aimirror.workers.worker.hashing import HASH_THREADS, Hasher

    steady(reactor)
    threads = reactor.getThreadPool()
    threads.adjustPoolsize(0, HASH_THREADS + RESOLVER_THREADS)
    hasher = Hasher(reactor, threads)

    def leave() -> None:
        hasher.close()
        with suppress(ReactorNotRunning):
            reactor.stop()

    agents = Agents(reactor, persistent=IDLE_CONNECTIONS)
    adopt(reactor, WORKER_FD, Face(reactor, agents, hasher, leave))
    os.close(WORKER_FD)
    collect_rarely()
    reactor.run()


def _log_to_stderr() -> None:
    """Warnings of the libraries, everything from here except what is for debugging."""
    from twisted.logger import (
        FilteringLogObserver,
        LogLevel,
        LogLevelFilterPredicate,
        globalLogBeginner,
        textFileLogObserver,
    )

    levels = LogLevelFilterPredicate(defaultLogLevel=LogLevel.warn)
    levels.setLogLevelForNamespace("aimirror", LogLevel.info)
    observer = FilteringLogObserver(textFileLogObserver(sys.stderr), [levels])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)


if __name__ == "__main__":
    main()
