"""conda through the conda preset, with rattler (the library of pixi) as the client."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

import zstandard

from aimirror.testing.behaviour import pattern
from tests.clients.worlds import ROOT, WorldTests, find_client, find_python

#: Ends without the interpreter's own end, in which rattler's threads crash now and then.
INSTALL = """
import asyncio, os, sys
from rattler import Gateway, install, solve

async def main(channel, package, folder):
    gateway = Gateway(cache_dir=folder + "/repodata")
    platforms = ["linux-64", "noarch"]
    records = await solve([channel], [package], gateway=gateway, platforms=platforms)
    await install(records, folder + "/env", folder + "/packages", show_progress=False)

asyncio.run(main(*sys.argv[1:]))
os._exit(0)
"""


def packed(value: object) -> bytes:
    """A value as MessagePack, as far as shards need it."""
    if isinstance(value, dict):
        pairs = b"".join(packed(key) + packed(each) for key, each in value.items())
        return b"\xde" + len(value).to_bytes(2, "big") + pairs
    if isinstance(value, list):
        return b"\xdc" + len(value).to_bytes(2, "big") + b"".join(map(packed, value))
    if isinstance(value, bytes):
        return b"\xc4" + bytes([len(value)]) + value
    if isinstance(value, int):
        return b"\xce" + value.to_bytes(4, "big")
    data = str(value).encode()
    return b"\xda" + len(data).to_bytes(2, "big") + data


class CondaTests(WorldTests):
    def setUp(self) -> None:
        super().setUp()
        self.python = find_python("rattler")
        (self.folder / "install.py").write_text(INSTALL)
        self.start({"preset": "conda", "upstream": self.upstream.url, "chunk_size": 300_000})
        self.records: dict[str, Any] = {}
        self.add("tool", 8)
        self.index()

    def add(self, name: str, seed: int) -> str:
        """Build a package; its path."""
        data = pattern(1_500_000, seed)
        record = {
            "name": name,
            "version": "1.0",
            "build": "0",
            "build_number": 0,
            "depends": [],
            "subdir": "noarch",
            "noarch": "generic",
        }
        told = {"_path": "data.bin", "path_type": "hardlink", "size_in_bytes": len(data)}
        paths = {
            "paths_version": 1,
            "paths": [{**told, "sha256": hashlib.sha256(data).hexdigest()}],
        }
        files = {
            "info/index.json": json.dumps(record).encode(),
            "info/paths.json": json.dumps(paths).encode(),
            "data.bin": data,
        }
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:bz2", compresslevel=1) as tar:
            for path, content in files.items():
                info = tarfile.TarInfo(path)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        path = f"/noarch/{name}-1.0-0.tar.bz2"
        self.upstream.put(path, out.getvalue())
        digest = hashlib.sha256(out.getvalue()).hexdigest()
        listed = {**record, "sha256": digest, "size": len(out.getvalue())}
        self.records[path.rpartition("/")[2]] = listed
        return path

    def index(self) -> None:
        for subdir, records in (("noarch", self.records), ("linux-64", {})):
            repodata = {"info": {"subdir": subdir}, "packages": records, "packages.conda": {}}
            data = json.dumps(repodata).encode()
            self.upstream.put(f"/{subdir}/repodata.json", data, "application/json")

    def install(self, name: str, package: str = "tool") -> list[str]:
        folder = self.fresh(name)
        channel = f"{self.mirror}/conda-forge"
        return [self.python, str(self.folder / "install.py"), channel, package, str(folder)]

    def test_conda(self) -> None:
        """rattler installs; again without a byte of a package, and with no upstream."""
        for turn in ("first", "second", "dead"):
            before = self.upstream.total(".tar.bz2")
            if turn == "dead":
                self.upstream.stop()
            self.assertRuns(self.install(turn))
            installed = self.folder / turn / "env" / "data.bin"
            self.assertTrue(installed.read_bytes() == pattern(1_500_000, 8))
            self.assertKept(self.upstream.files["/noarch/tool-1.0-0.tar.bz2"].content)
            if turn != "first":
                self.assertEqual(self.upstream.total(".tar.bz2"), before)

    def test_prefetched(self) -> None:
        """``aimirror prefetch environment.yml`` brings what it needs; a client then needs no
        upstream.
        """
        self.add("base", 9)
        self.records["tool-1.0-0.tar.bz2"]["depends"] = ["base"]
        self.index()
        packages = Path(self.python).parent.parent.glob("lib/python*/site-packages")
        file = self.folder / "environment.yml"
        file.write_text("channels: [conda-forge, nodefaults]\ndependencies: [tool=1]\n")
        command = [sys.executable, "-m", "aimirror", "prefetch", "--url", self.mirror]
        path = os.pathsep.join([str(ROOT), *map(str, packages)])
        words = ["--config", str(self.service.config), str(file)]
        said = self.assertRuns([*command, *words], PYTHONPATH=path, PATH="/usr/bin:/bin")
        self.assertIn("done: 2 fetched", said)
        self.settle()
        self.upstream.stop()
        self.assertRuns(self.install("dead"))

    def shard(self, base: str) -> None:
        """Publish sharded repodata whose shards are at a base."""
        for subdir, records in (("noarch", self.records), ("linux-64", {})):
            shards = {}
            for file, record in records.items():
                told = {**record, "sha256": bytes.fromhex(record["sha256"])}
                shard = {"packages": {file: told}, "packages.conda": {}, "removed": []}
                data = zstandard.compress(packed(shard))
                digest = hashlib.sha256(data)
                shards[record["name"]] = digest.digest()
                self.upstream.put(f"/{subdir}/s/{digest.hexdigest()}.msgpack.zst", data)
            place = f"{base}/{subdir}/s/" if base else "./s/"
            info = {"subdir": subdir, "base_url": "", "shards_base_url": place}
            index = zstandard.compress(packed({"info": info, "shards": shards}))
            self.upstream.put(f"/{subdir}/repodata_shards.msgpack.zst", index)

    def test_shards(self) -> None:
        """Shards are kept though rattler says no-store, also where the index has whole URLs."""
        for base in ("", self.upstream.url):
            self.shard(base)
            if base:
                self.purge("--all")
            for turn in ("first", "second"):
                before = self.upstream.total(".msgpack.zst")
                self.assertRuns(self.install(f"{turn}{len(base)}"))
                self.settle()
                sent = self.upstream.total(".msgpack.zst") - before
                self.assertIs(sent > 0, turn == "first", (base, turn))
        asked = {a.headers.get("cache-control") for a in self.upstream.requests}
        self.assertEqual(asked, {None})  # it means rattler's own cache, and no upstream is told
        self.assertEqual(self.upstream.total("repodata.json"), 0)
        self.upstream.stop()
        self.assertRuns(self.install("dead"))

    def test_rebuilt(self) -> None:
        """A package that was built anew under its name is followed."""
        self.assertRuns(self.install("before"))
        self.add("tool", 80)
        self.index()
        self.purge("--prefix", f"{self.upstream.url}/noarch/repodata")
        self.assertRuns(self.install("after"))
        installed = self.folder / "after" / "env" / "data.bin"
        self.assertTrue(installed.read_bytes() == pattern(1_500_000, 80))

    def test_corrupt(self) -> None:
        """A package that is not what the client and repodata expect is not kept."""
        path = self.add("bad", 9)
        self.index()
        self.upstream.spoil(path)
        self.assertFails(self.install("bad", "bad"))
        self.assertNotKept(self.upstream.files[path].content)

    def test_packed_index(self) -> None:
        """A package is checked by the packed index, which is what clients ask for first."""
        path = "/noarch/tool-1.0-0.tar.bz2"
        data = self.upstream.files["/noarch/repodata.json"].content
        packed = zstandard.ZstdCompressor().compress(data)
        self.upstream.put("/noarch/repodata.json.zst", packed, "application/zstd")
        self.assertEqual(self.service.get("/conda-forge/noarch/repodata.json.zst").body, packed)
        self.upstream.spoil(path)
        self.run_client([find_client("curl"), "-sS", "-o", "x", f"{self.mirror}/conda-forge{path}"])
        self.assertNotKept(self.upstream.files[path].content)

    def test_absent(self) -> None:
        """A form of repodata that there is not is a 404, remembered while the upstream is down."""
        path = "/conda-forge/noarch/repodata_shards.msgpack.zst"
        self.assertEqual(self.service.get(path).status, 404)
        other = "/conda-forge/noarch/repodata.json.bz2"
        self.assertEqual(self.service.get(other, method="HEAD").status, 404)
        self.upstream.stop()
        self.assertEqual(self.service.get(path).status, 404)
        self.assertEqual(self.service.get(other, method="HEAD").status, 404)

    def test_no_coding(self) -> None:
        """Packages and compressed indexes get no Content-Encoding and keep their type."""
        self.upstream.put("/noarch/repodata.json.zst", b"zst" * 2000, "application/zstd")
        for path in ("/noarch/repodata.json.zst", "/noarch/tool-1.0-0.tar.bz2"):
            reply = self.service.get(f"/conda-forge{path}", ("Accept-Encoding", "gzip"))
            self.assertEqual(reply.body, self.upstream.files[path].content)
            self.assertNotIn("content-encoding", reply.headers)
            kind = reply.headers.get("content-type")
            self.assertEqual(kind, self.upstream.files[path].media_type)
