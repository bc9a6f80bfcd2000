"""Files are checked by an index that another node has, in each world whose indexes tell digests."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from attrs import frozen

from aimirror.testing import client
from aimirror.testing.behaviour import pattern
from aimirror.testing.processes import ServiceProgram
from aimirror.testing.s3 import Script, Served
from tests.e2e.test_cluster import ClusterCase
from tests.e2e.tier_nodes import CREDENTIALS

#: Files of one world; the first alone is what its index says.
FILES = 10
SIZE = 100_000


def content(number: int) -> bytes:
    return pattern(SIZE, number)


def sha256(number: int) -> str:
    return hashlib.sha256(content(number)).hexdigest()


@frozen
class World:
    """An index, and the paths of its files by number."""

    name: str
    index: str
    file: str
    says: Callable[[World], str]
    rule: Mapping[str, Any] = {}

    def path(self, number: int) -> str:
        return self.file.format(number)


def npm(world: World) -> str:
    versions = {}
    for number in range(FILES):
        digest = base64.b64encode(hashlib.sha512(content(number)).digest()).decode()
        tarball = f"https://registry.test{world.path(number).removeprefix('/npm')}"
        versions[f"{number}.0.0"] = {"dist": {"tarball": tarball, "integrity": f"sha512-{digest}"}}
    return json.dumps({"name": "p", "versions": versions})


def apt(world: World) -> str:
    names = (world.path(number).removeprefix("/debian/") for number in range(FILES))
    return "\n\n".join(
        f"Package: p{n}\nFilename: {name}\nSize: {SIZE}\nSHA256: {sha256(n)}"
        for n, name in enumerate(names)
    )


def rpm(world: World) -> str:
    names = (world.path(number).removeprefix("/fedora/") for number in range(FILES))
    packages = "".join(
        f'<package type="rpm"><checksum type="sha256" pkgid="YES">{sha256(n)}</checksum>'
        f'<location href="{name}"/></package>'
        for n, name in enumerate(names)
    )
    return f"<metadata>{packages}</metadata>"


def repomd(primary: str) -> str:
    digest = hashlib.sha256(rpm(WORLDS[2]).encode()).hexdigest()
    data = f'<checksum type="sha256">{digest}</checksum><location href="{primary}"/>'
    return f'<repomd><data type="primary">{data}</data></repomd>'


def conda(world: World) -> str:
    names = (world.path(number).rpartition("/")[2] for number in range(FILES))
    packages = {name: {"sha256": sha256(n), "size": SIZE} for n, name in enumerate(names)}
    return json.dumps({"packages": {}, "packages.conda": packages})


def python(world: World) -> str:
    names = (world.path(number).rpartition("/")[2] for number in range(FILES))
    return "".join(f'<a href="{n}#sha256={sha256(i)}">{n}</a>' for i, n in enumerate(names))


WORLDS = (
    World("npm", "/npm/p", "/npm/p/-/p-{}.0.0.tgz", npm),
    World("apt", "/debian/dists/s/main/binary-all/Packages", "/debian/pool/p/p_{}_all.deb", apt),
    World("rpm", "/fedora/repodata/primary.xml", "/fedora/Packages/p-{}-1.noarch.rpm", rpm),
    World("conda", "/forge/noarch/repodata.json", "/forge/noarch/p-{}-0.conda", conda),
    World("pypi", "/torch/p/", "/torch/p/p-{}-py3-none-any.whl", python),
)


class IndexesCase(ClusterCase):
    """An origin with the indexes of all worlds, and files of which one is as its index says."""

    def setUp(self) -> None:
        super().setUp()
        primary = self.at_origin(WORLDS[2].index)
        script: dict[str, Any] = {
            "/repodata/repomd.xml": {"text": repomd(primary.removeprefix("/"))}
        }
        for world in WORLDS:
            kind = "text/html" if world.name == "pypi" else "application/octet-stream"
            script[self.at_origin(world.index)] = {"text": world.says(world), "media_type": kind}
            for number in range(FILES):
                seed = number and 100 + number
                script[self.at_origin(world.path(number))] = {"size": SIZE, "seed": seed}
        self.origin.script(script)

    def at_origin(self, path: str) -> str:
        return "/" + path.split("/", 2)[2]

    def world_rules(self) -> list[dict[str, Any]]:
        return [
            {
                "name": world.name,
                "path_prefix": "/" + world.index.split("/")[1],
                "strip_prefix": True,
                "upstream": self.origin.url,
                "ecosystem": world.name,
                "strategy": "parallel",
                "min_size": 1,
            }
            for world in WORLDS
        ]

    def is_whole(self, node: ServiceProgram, path: str) -> bool:
        try:
            reply = node.get(path)
        except (client.Broken, ConnectionError):
            return False
        return reply.status == 200 and len(reply.body) == SIZE

    def passed(self, nodes: Sequence[ServiceProgram]) -> dict[str, list[int]]:
        """By world the files that are served whole, each asked of another node."""
        count = len(nodes)
        return {
            world.name: [n for n in range(FILES) if self.is_whole(nodes[n % count], world.path(n))]
            for world in WORLDS
        }


class OwnersTests(IndexesCase):
    def test_damaged(self) -> None:
        """Of ten files that are not what the index says none is served, on whichever node."""
        nodes = [self.node(number, rules=self.world_rules()) for number in range(3)]
        for world in WORLDS:
            reply = nodes[0].get(world.index)
            self.assertEqual(reply.status, 200, world.name)
        for node in nodes:
            self.settle(node)
        self.assertEqual(self.passed(nodes), {world.name: [0] for world in WORLDS})


class TierTests(IndexesCase):
    """Nodes that know nothing of each other, before a store."""

    if find_spec("botocore") is None:
        skip = "botocore is not installed"

    def setUp(self) -> None:
        super().setUp()
        self.script = Script()
        self.store = Served(self.script)
        self.addCleanup(self.store.close)

    def beside(self, number: int) -> ServiceProgram:
        folder = self.folder / f"node-{number}"
        folder.mkdir()
        service = ServiceProgram(
            folder,
            self.world_rules(),
            environment=CREDENTIALS,
            cluster={"key_file": str(self.folder / "key")},
            tier={"url": "s3://bucket/p", "endpoint": f"http://127.0.0.1:{self.store.port}"},
        )
        self.addCleanup(service.program.kill)
        while service.get("/health").json()["tier"] != "closed":
            time.sleep(0.05)
        return service

    def test_in_tier(self) -> None:
        """The same where nodes find the index in the store, by a request of whatever form."""
        nodes = [self.beside(number) for number in range(3)]
        for world in WORLDS:
            self.assertEqual(nodes[0].get(world.index).status, 200, world.name)
        self.settle(nodes[0])
        self.wait_sent(nodes[0])
        before = {world.name: self.index_requests(world) for world in WORLDS}
        self.assertEqual(self.passed(nodes[1:]), {world.name: [0] for world in WORLDS})
        after = {world.name: self.index_requests(world) for world in WORLDS}
        self.assertEqual(after, before)

    def test_elsewhere(self) -> None:
        """Where the store has no index, the upstream is asked for it, once for all files."""
        node = self.beside(0)
        worlds = [world for world in WORLDS if world.name != "apt"]
        self.assertEqual(
            {name: numbers for name, numbers in self.passed([node]).items() if name != "apt"},
            {world.name: [0] for world in worlds},
        )
        self.assertEqual([self.index_requests(world) for world in worlds], [1] * len(worlds))

    def wait_sent(self, node: ServiceProgram) -> None:
        def queue() -> str:
            lines = node.get("/metrics").body.decode().splitlines()
            return next(line for line in lines if line.startswith("aimirror_tier_queue "))

        while not queue().endswith(" 0.0"):
            time.sleep(0.05)

    def index_requests(self, world: World) -> int:
        requests: int = self.origin.count(self.at_origin(world.index)).requests
        return requests
