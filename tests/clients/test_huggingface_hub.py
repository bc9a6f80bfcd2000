"""Whole repositories, uploads and bad days of the hub, with huggingface_hub through the mirror."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path

from attrs import define, field

from aimirror.testing import client
from aimirror.testing.behaviour import pattern
from aimirror.testing.hub import Hub
from aimirror.testing.processes import RelayProgram
from aimirror.testing.site import Asked, File
from tests.clients.huggingface_support import FILES, LARGE, SCRIPT, HuggingFaceTests
from tests.clients.worlds import find_client, find_python

#: Looks for optional files first, as transformers does, then takes what there is.
OPTIONAL = """
import sys
from huggingface_hub import hf_hub_download
from huggingface_hub.utils import EntryNotFoundError
repo, revision = sys.argv[1:]
for name in ("adapter_config.json", "model.safetensors.index.json"):
    try:
        hf_hub_download(repo, name, revision=revision)
    except EntryNotFoundError:
        print("missing", name)
print(hf_hub_download(repo, "config.json", revision=revision))
"""

#: Asks about files by their paths, and reads a part of one.
FILESYSTEM = """
import sys
from huggingface_hub import HfApi, HfFileSystem
repo, path = sys.argv[1:]
(info,) = HfApi().get_paths_info(repo, path)
print(info.size, getattr(info, "xet_hash", None))
with HfFileSystem().open(f"{repo}/{path}", "rb") as file:
    file.seek(1000)
    print(file.read(5).hex())
"""


@define
class Uploads:
    """The part of a hub that takes files; ``taken`` are the files of the last commit."""

    hub: Hub
    objects: dict[str, bytes] = field(factory=dict)
    taken: dict[str, object] = field(factory=dict)
    tokens: set[str] = field(factory=set)

    def answer(self, asked: Asked) -> File | None:
        path = asked.target.partition("?")[0]
        if asked.method == "PUT":
            name = path.rpartition("/")[2]
            self.objects[name] = asked.body
            return File(b"", etag='"x"')
        if asked.method != "POST":
            return None
        self.tokens.add(asked.headers.get("authorization", ""))
        if path == "/api/repos/create":
            return _json({"url": f"{self.hub.hub.url}/ns/name", "id": "1", "name": "ns/name"})
        if "/preupload/" in path:
            files = json.loads(asked.body)["files"]
            return _json({"files": [self._mode(file) for file in files]})
        if path.endswith(".git/info/lfs/objects/batch"):
            objects = json.loads(asked.body)["objects"]
            return _json({"transfer": "basic", "objects": [self._place(o) for o in objects]})
        if "/commit/" in path:
            lines = map(json.loads, asked.body.splitlines())
            self.taken = {each["value"].get("path"): each["value"] for each in lines}
            url = f"{self.hub.hub.url}/ns/name/commit/{'a' * 40}"
            return _json({"success": True, "commitOid": "a" * 40, "commitUrl": url})
        return None

    def _mode(self, file: dict[str, object]) -> dict[str, object]:
        mode = "lfs" if file["path"].endswith(".bin") else "regular"  # type: ignore[attr-defined]
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": None}

    def _place(self, wanted: dict[str, object]) -> dict[str, object]:
        href = f"{self.hub.cdn.url}/put/{wanted['oid']}"
        return {**wanted, "authenticated": True, "actions": {"upload": {"href": href}}}


def _json(value: object) -> File:
    return File(json.dumps(value).encode(), "application/json")


class RepositoryTests(HuggingFaceTests):
    def test_many_files(self) -> None:
        """200 small files, eight at a time: whole, again, and with no hub."""
        files = {f"part {n % 7}/{n}.json": b'{"n": %d}' % n * (n + 1) for n in range(200)}
        self.hub.page = 60
        self.hub.repo("datasets/ns/many").commit(files)
        self.serve()
        words = ("ns/many", "--repo-type=dataset", "--max-workers=8")
        self.assertSnapshot(self.download("hf2", "first", *words), files)
        self.settle()
        asked = len(self.hub.hub.requests)
        self.assertSnapshot(self.download("hf036", "second", *words), files)
        self.assertLess(len(self.hub.hub.requests) - asked, 20)
        self.hub.stop()
        self.assertSnapshot(self.download("hf2", "dead", *words), files)

    def test_without_xet(self) -> None:
        """huggingface_hub 2.x where hf_xet is not installed: first, again, and with no hub."""
        packages = (
            next((Path(find_python("hf2")).parent.parent / "lib").iterdir()) / "site-packages"
        )
        own = self.fresh("packages")
        for each in packages.iterdir():
            if not each.name.startswith("hf_xet"):
                (own / each.name).symlink_to(each)
        python = [sys.executable, "-S", "-c"]
        missing = "import importlib.util as u; print(u.find_spec('hf_xet'))"
        told = self.assertRuns([*python, missing], PYTHONPATH=str(own))
        self.assertEqual(told.strip(), "None")
        self.publish()
        self.serve()

        def snapshot(name: str) -> Path:
            home = self.fresh(name)
            environment = {**self.environment(home), "PYTHONPATH": str(own)}
            output = self.assertRuns(
                [*python, SCRIPT, "ns/name", "", "model", ""], home, **environment
            )
            return Path(output.strip().splitlines()[-1])

        self.thrice(snapshot)

    def test_pull_request(self) -> None:
        """``hf download --revision refs/pr/1`` of a whole repository."""
        repo = self.publish()
        other = {"config.json": b'{"other": 1}', "weights.bin": pattern(LARGE, 5)}
        repo.commit(other, "refs/pr/1")
        self.serve()
        for venv in ("hf2", "hf025"):
            folder = self.download(venv, venv, "ns/name", "--revision", "refs/pr/1")
            self.assertSnapshot(folder, other)
            self.assertFalse((folder / "README.md").exists())

    def test_optional_files(self) -> None:
        """What a commit does not have is missing at once, and with no hub, too."""
        repo = self.publish()
        commit = repo.names["main"]
        self.serve()
        for step in ("first", "second", "dead"):
            for revision in ("main", commit):
                home = self.fresh(f"{step}-{revision}")
                command = [find_client("python", "hf2"), "-c", OPTIONAL, "ns/name", revision]
                output = self.assertRuns(command, home, **self.environment(home))
                self.assertEqual(output.count("missing"), 2)
            self.settle()
            if step == "second":
                self.hub.stop()

    def test_filesystem(self) -> None:
        """HfFileSystem asks about paths by POST: no name of chunks comes, and parts are read."""
        self.publish()
        self.serve()
        for venv in ("hf2", "hf036"):
            home = self.fresh(venv)
            command = [find_client("python", venv), "-c", FILESYSTEM, "ns/name"]
            output = self.assertRuns(
                [*command, "model.safetensors"], home, **self.environment(home)
            )
            first, second = output.strip().splitlines()[-2:]
            self.assertEqual(first, f"{LARGE} None")
            self.assertEqual(second, FILES["model.safetensors"][1000:1005].hex())
        self.assertNothingPast()

    def test_gated_for_nobody(self) -> None:
        """A gated repository, cached by one who may read it, says so to those without a token."""
        self.publish("models/ns/gated", readers=frozenset({"right"}), gated=True)
        self.serve()
        self.assertSnapshot(self.library("hf2", "right", "ns/gated", token="right"))
        for venv in ("hf2", "hf036", "hf025"):
            self.library(venv, venv, "ns/gated", file="config.json", fails=True)
            self.assertIn("GatedRepoError", self.output)

    def test_upload(self) -> None:
        """``hf upload``: the commit goes through with the token, large files to their place."""
        uploads = Uploads(self.hub)
        self.hub.hub.interrupt = self.hub.cdn.interrupt = uploads.answer
        self.publish()
        self.serve()
        large = pattern(3_000_000, 9)
        for venv, program in (("hf2", "hf"), ("hf036", "hf"), ("hf025", "huggingface-cli")):
            folder = self.fresh(f"up-{venv}")
            (folder / "notes.txt").write_text("some notes")
            (folder / "weights.bin").write_bytes(large)
            uploads.objects.clear()
            home = self.fresh(venv)
            environment = self.environment(home, token="mine", HF_HUB_DISABLE_XET="1")
            command = [find_client(program, venv), "upload", "ns/name", str(folder)]
            output = self.assertRuns(command, home, **environment)
            self.assertNotIn(self.hub.hub.url, output)
            self.assertEqual(set(uploads.taken) - {None}, {"notes.txt", "weights.bin"})
            self.assertTrue(uploads.objects[hashlib.sha256(large).hexdigest()] == large)
        self.assertEqual(uploads.tokens, {"Bearer mine"})


class BadDayTests(HuggingFaceTests):
    def test_large_over_slow_cdn(self) -> None:
        """120 MB from a CDN with slow connections whose signatures expire: whole, and once."""
        relay = RelayProgram(
            self.folder / "relay.log", self.hub.cdn.port, rate=1_500_000, round_trip=0.03
        )
        self.addCleanup(relay.program.kill)
        self.hub.cdn_url = f"http://127.0.0.1:{relay.port}"
        self.hub.signed_uses = 5
        content = pattern(120_000_000, 3)
        self.hub.repo("models/ns/big").commit({"big.gguf": content})
        self.serve()
        folder = self.download("hf2", "first", "ns/big", "big.gguf")
        self.assertTrue((folder / "big.gguf").read_bytes() == content)
        self.settle()
        self.assertLess(self.hub.cdn.total(), 1.5 * len(content))
        signatures = {a.target.partition("?")[2] for a in self.hub.cdn.requests}
        self.assertGreater(len(signatures), 1)
        (folder / "big.gguf").unlink()
        before = self.hub.cdn.total()
        folder = self.download("hf036", "second", "ns/big", "big.gguf")
        self.assertTrue((folder / "big.gguf").read_bytes() == content)
        self.assertEqual(self.hub.cdn.total(), before)

    def test_resets(self) -> None:
        """A CDN that resets each connection after a while, and a hub with some 500s."""
        self.publish()
        counts: dict[str, int] = {}

        def hub(asked: Asked) -> File | None:
            counts[asked.target] = counts.get(asked.target, 0) + 1
            failing = counts[asked.target] == 1 and "resolve" in asked.target
            return File(b"oops", "text/plain", 500) if failing else None

        def cdn(asked: Asked) -> File | None:
            content = self.hub.large.get(asked.target.partition("?")[0])
            return content and File(content, etag='"x"', cut=700_000)

        self.hub.hub.interrupt, self.hub.cdn.interrupt = hub, cdn
        self.serve()
        for venv in ("hf2", "hf025"):
            self.assertSnapshot(self.library(venv, venv, "ns/name"))

    def test_moved_xet_tokens(self) -> None:
        """Nothing that a client is told leads it past the mirror."""
        self.publish()
        service = self.serve()
        commit = self.hub.repos["models/ns/name"].names["main"]
        body = json.dumps({"paths": ["model.safetensors"]}).encode()
        answers = [
            service.get(f"/api/models/ns/name/tree/{commit}?recursive=true&cursor=2"),
            service.get("/api/models/ns/name/revision/main"),
            client.request(
                service.port,
                f"/api/models/ns/name/paths-info/{commit}",
                [("Content-Type", "application/json")],
                method="POST",
                body=body,
            ),
        ]
        for reply in answers:
            self.assertEqual(reply.status, 200)
            self.assertIsNone(re.search(rb"xet", reply.body, re.IGNORECASE))
            self.assertNotIn(self.hub.hub.url, str(reply.headers))
