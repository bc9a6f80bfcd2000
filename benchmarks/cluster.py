"""A day of a cluster on a virtual clock: ``python -m benchmarks.cluster`` prints the table of docs.

What decides is imported from the product: the affinity key of a request, the owner among the nodes
that are there, which files make way, when the tier is left alone.  Bytes are counted, not time.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence

from attrs import Factory, define, frozen
from twisted.internet.task import Clock

from aimirror.cluster.affinity import key, shapes
from aimirror.cluster.roster import Roster
from aimirror.config import load
from aimirror.store.eviction import Candidate, choose
from aimirror.tier.breaker import Breaker

FILES = 4000
REQUESTS = 60_000
DAY = 86_400.0
#: Flash crowds: so many clients at once want a new model of so many files.
CROWDS, CLIENTS, PARTS, PART = 12, 200, 4, 2_500_000_000
#: A node's disk, as a share of all that is asked for in a day.
DISK = 0.1
#: Seconds until the tier has what a node has fetched.
UPLOAD = 30.0
#: When the tier is away, in seconds of the day, and when a node dies.
OUTAGE = (40_000.0, 40_600.0)
DEATH = 60_000.0
#: When all nodes are started anew, a share of them at a time, each away for so many seconds.
RESTART, SHARE, AWAY = 75_000.0, 0.05, 60.0


@frozen
class File:
    """One file: its path, the key that it has for balancers and owners, its bytes."""

    path: str
    key: str
    size: int


@define
class Node:
    """A disk, and what it has done."""

    disk: int
    files: dict[str, Candidate] = Factory(dict)
    used: int = 0
    sent: int = 0
    #: The latest use among the files that made way last.
    oldest: float = 0.0

    def has(self, file: File, now: float) -> bool:
        """Whether a file is stored; that counts as a use."""
        if file.path not in self.files:
            return False
        self.files[file.path] = Candidate(file.path, file.size, now)
        return True

    def keep(self, file: File, now: float, *, lent: bool = False) -> None:
        """Store it, and have others make way for it: a few more than must, as sorting is dear.

        ``lent``: its owner has it, so it makes way in half the time, unless it is asked for again.
        """
        need = self.used + file.size - self.disk
        if file.size > self.disk:
            return
        if need > 0:
            for victim in choose(self.files.values(), need + self.disk // 20):
                del self.files[victim.blob]
                self.used -= victim.size
                self.oldest = max(self.oldest, victim.used)
        used = (now + self.oldest) / 2 if lent and self.oldest else now
        self.files[file.path] = Candidate(file.path, file.size, used)
        self.used += file.size


@define
class Counts:
    """Bytes, and requests that a node's own disk answered."""

    upstream: int = 0
    tier: int = 0
    between: int = 0
    own: int = 0
    requests: int = 0


class Cluster:
    """``count`` nodes; ``way`` is how a request finds its node and its bytes."""

    def __init__(self, count: int, way: str, tier: bool, unique: int, seed: int) -> None:
        self._random = random.Random(seed)
        self._clock = Clock()
        self._way = way
        self._names = [f"10.0.{n // 256}.{n % 256}:8081" for n in range(count)]
        self.nodes = {name: Node(int(unique * DISK)) for name in self._names}
        self._roster = self._known()
        self._owners: dict[str, str] = {}
        self._tier: dict[str, float] | None = {} if tier else None
        self._breaker = Breaker()
        #: Downloads of this very moment, by node and path.
        self._running: set[tuple[str, str]] = set()
        self.counts = Counts()

    def at(self, now: float) -> None:
        """Time passes; what was running has arrived."""
        if now > self._clock.seconds():
            self._clock.advance(now - self._clock.seconds())
            self._running.clear()

    def _known(self) -> Roster:
        """What each node knows of the others."""
        roster = Roster(self._names[0])
        roster.update(self._names)
        return roster

    def die(self) -> None:
        """The busiest node is gone, with its disk."""
        name = max(self.nodes, key=lambda n: self.nodes[n].sent)
        del self.nodes[name]
        self._names.remove(name)
        self._roster = self._known()
        self._owners.clear()

    def restart(self, now: float) -> None:
        """Some of the nodes are away just now, disks and all; the others know."""
        count = len(self.nodes)
        size = max(1, int(count * SHARE))
        start = int((now - RESTART) / AWAY) * size
        names = sorted(self.nodes)
        here = names if now < RESTART else names[:start] + names[start + size :]
        if here != self._names:
            self._names = here
            self._roster = self._known()
            self._owners.clear()

    def request(self, file: File) -> None:
        """A client wants a file."""
        by_key = self._way == "affinity"
        name = self._owner(file) if by_key else self._random.choice(self._names)
        node = self.nodes[name]
        self.counts.requests += 1
        node.sent += file.size
        if node.has(file, self._clock.seconds()) or (name, file.path) in self._running:
            self.counts.own += 1
            return
        self._fetch(name, file, alone=by_key or self._way == "alone")

    def _owner(self, file: File) -> str:
        found = self._owners.get(file.key)
        if found is None:
            found = self._owners[file.key] = self._roster.owner(file.key, self._clock.seconds())
        return found

    def _fetch(self, name: str, file: File, alone: bool) -> None:
        """Local, tier, owner, upstream: the order of the product."""
        now = self._clock.seconds()
        if self._in_tier(file, now):
            self.counts.tier += file.size
        elif not alone and (owner := self._owner(file)) != name:
            holder = self.nodes[owner]
            if not holder.has(file, now) and (owner, file.path) not in self._running:
                self._fetch(owner, file, alone=True)
            holder.sent += file.size
            self.counts.between += file.size
        else:
            self.counts.upstream += file.size
            if self._tier is not None:
                self._tier[file.path] = now + UPLOAD
        self._running.add((name, file.path))
        lent = not alone and self._owner(file) != name
        self.nodes[name].keep(file, now, lent=lent)

    def _in_tier(self, file: File, now: float) -> bool:
        if self._tier is None or not self._breaker.allows(now):
            return False
        if OUTAGE[0] <= now < OUTAGE[1]:
            self._breaker.failed(now)
            return False
        self._breaker.succeeded()
        return self._tier.get(file.path, now + 1) <= now


def files() -> list[File]:
    """Packages of several worlds, their sizes as far apart as in life; the first is the hottest."""
    known = shapes(load(None).rules)
    chosen = random.Random(1)
    found = []
    for number in range(FILES):
        path = chosen.choice(
            (
                f"/packages/{number % 97:02x}/{number}/p{number}-1.0-py3-none-any.whl",
                f"/registry/npm/p{number // 3}/-/p{number // 3}-{number}.0.0.tgz",
                f"/org{number % 50}/m{number}/resolve/main/model.safetensors",
                f"/conda-forge/linux-64/p{number}-1.0-0.conda",
                f"/maven2/g/a{number}/1.0/a{number}-1.0.jar",
            )
        )
        size = int(min(5e9, chosen.lognormvariate(15, 2)))
        found.append(File(path, key(known, path), size))
    return found


def day(files: Sequence[File]) -> Iterator[tuple[float, File]]:
    """Who wants what when: popularity by Zipf's law, and flash crowds of clients of new models."""
    chosen = random.Random(2)
    weights = [1 / (rank + 1) ** 0.95 for rank in range(len(files))]
    wanted = chosen.choices(files, weights, k=REQUESTS)
    events = [(chosen.random() * DAY, file) for file in wanted]
    known = shapes(load(None).rules)
    for crowd in range(CROWDS):
        at = (crowd + 0.5) * DAY / CROWDS
        for part in range(PARTS):
            path = f"/new/m{crowd}/resolve/main/{part}.safetensors"
            events += [(at + part, File(path, key(known, path), PART))] * CLIENTS
    return iter(sorted(events, key=lambda event: event[0]))


def play(count: int, way: str, tier: bool) -> tuple[Counts, float, float, int, int]:
    """A day: the counts, unique bytes, busiest ÷ mean, and what death and restart cost.

    That is what the upstream sent again, between the two, and from the restart on.
    """
    known = files()
    events = list(day(known))
    unique = sum(size for size in {f.path: f.size for _, f in events}.values())
    cluster = Cluster(count, way, tier, unique, 3)
    seen: Counter[str] = Counter()
    died = restarted = 0
    dead = False
    for now, file in events:
        cluster.at(now)
        if not dead and now > DEATH:
            cluster.die()
            dead = True
        if dead:
            cluster.restart(now)
        before = cluster.counts.upstream
        cluster.request(file)
        if dead and seen[file.path]:
            again = cluster.counts.upstream - before
            if now < RESTART:
                died += again
            else:
                restarted += again
        seen[file.path] += 1
    loads = [node.sent for node in cluster.nodes.values()]
    return cluster.counts, unique, max(loads) / (sum(loads) / len(loads)), died, restarted


def main() -> None:
    """Print the table."""
    head = (
        "way",
        "nodes",
        "upstream",
        "own disk",
        "tier",
        "between",
        "busiest",
        "death",
        "restart",
    )
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head))
    for way, tier in (
        ("alone", False),
        ("alone", True),
        ("affinity", False),
        ("affinity", True),
        ("owners", False),
        ("owners", True),
    ):
        for count in (4, 16, 64, 1000):
            counts, unique, busiest, died, restarted = play(count, way, tier)
            cells = (
                f"{way}{' + tier' if tier else ''}",
                str(count),
                f"{counts.upstream / unique:.2f}",
                f"{counts.own / counts.requests:.2f}",
                f"{counts.tier / unique:.2f}",
                f"{counts.between / unique:.2f}",
                f"{busiest:.1f}",
                f"{died / unique:.3f}",
                f"{restarted / unique:.3f}",
            )
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
