"""``python -m aimirror.workers.apart``: reads what others wrote for the parent.

Imports nothing of Twisted, so that it is up quickly and small.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import struct
import sys
from contextlib import suppress
from typing import Any, BinaryIO

from aimirror.workers.apart import FAILED, LEAVING

#: Bytes of address space: several times what the largest real index takes.
MEMORY = 1536 << 20
#: Bytes of memory after which the process makes room for a fresh one.
ENOUGH = 512 << 20
#: Functions that may be called are below this.
PACKAGE = "aimirror."


def main() -> None:
    """Do jobs until the parent leaves.

    A Ctrl-C reaches the whole process group, but the parent decides when its children leave.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    _limit("RLIMIT_AS", MEMORY)
    _limit("RLIMIT_CORE", 0)
    source = os.fdopen(0, "rb")
    _answer(0, b"")
    while _one(source):
        pass


def _one(source: BinaryIO) -> bool:
    """Do one job; False when there is none, or no memory for another one."""
    head = source.read(4)
    if len(head) < 4:
        return False
    job = json.loads(source.read(struct.unpack(">I", head)[0]))
    _limit("RLIMIT_CPU", int(_cpu_seconds() + job["seconds"]) + 1)
    status, made = 0, b""
    try:
        data = source.read(job["size"])
        read = _function(job["call"])
        # It ends the process; the kernel's own limit knows whole seconds alone.
        signal.setitimer(signal.ITIMER_PROF, job["seconds"])
        made = read(data, *job["texts"])
    except MemoryError:
        status, made = FAILED | LEAVING, b"it takes too much memory"
    except Exception as error:  # whatever a reader stumbles over
        status, made = FAILED, f"{type(error).__name__}: {error}"[:200].encode("utf-8", "replace")
    signal.setitimer(signal.ITIMER_PROF, 0)
    if _used() > ENOUGH:
        status |= LEAVING
    _answer(status, made)
    return not status & LEAVING


def _function(call: str) -> Any:
    module, _, name = call.partition(":")
    if not module.startswith(PACKAGE):
        raise ValueError("not one of ours")
    return getattr(importlib.import_module(module), name)


def _answer(status: int, data: bytes) -> None:
    out = sys.stdout.buffer
    out.write(struct.pack(">BQ", status, len(data)))
    out.write(data)
    out.flush()


def _limit(name: str, most: int) -> None:
    """Lower a limit of the kernel's, where the platform has it; the hard one stays."""
    with suppress(ImportError, AttributeError, OSError, ValueError):
        import resource

        which = getattr(resource, name)
        resource.setrlimit(which, (most, resource.getrlimit(which)[1]))


def _cpu_seconds() -> float:
    return sum(os.times()[:2])


def _used() -> int:
    with suppress(ImportError):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return 0


if __name__ == "__main__":
    main()
