"""Files are checked by an index that another node has, in each world whose indexes tell digests."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from aimirror.testing import client
from aimirror.testing.behaviour import pattern
from aimirror.testing.processes import ServiceProgram
from tests.e2e.test_cluster import ClusterCase

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


class IndexesTests(ClusterCase):
    def setUp(self) -> None:
        super().setUp()
        script: dict[str, Any] = {}
        for world in WORLDS:
            kind = "text/html" if world.name == "pypi" else "application/octet-stream"
            script[self.at_origin(world.index)] = {"text": world.says(world), "media_type": kind}
            for number in range(FILES):
                seed = number and 100 + number
                script[self.at_origin(world.path(number))] = {"size": SIZE, "seed": seed}
        self.origin.script(script)

    def at_origin(self, path: str) -> str:
        return "/" + path.split("/", 2)[2]

    def rules(self) -> list[dict[str, Any]]:
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

    def test_damaged(self) -> None:
        """Of ten files that are not what the index says none is served, on whichever node."""
        nodes = [self.node(number, rules=self.rules()) for number in range(3)]
        for world in WORLDS:
            reply = nodes[0].get(world.index)
            self.assertEqual(reply.status, 200, world.name)
        for node in nodes:
            self.settle(node)
        passed = {
            world.name: [n for n in range(FILES) if self.is_whole(nodes[n % 3], world.path(n))]
            for world in WORLDS
        }
        self.assertEqual(passed, {world.name: [0] for world in WORLDS})
