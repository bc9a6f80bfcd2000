"""huggingface_hub of three generations, with hf_xet and hf_transfer, through the default rules."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from aimirror.testing.processes import RelayProgram
from tests.clients.huggingface_support import FILES, LARGE, SCRIPT, HuggingFaceTests
from tests.clients.worlds import find_client


class ClientTests(HuggingFaceTests):
    # -- each client -------------------------------------------------------------------------

    def test_hf(self) -> None:
        """hf download (2.x, with hf_xet): a repository, again, and with no hub."""
        self.publish()
        self.serve()
        self.thrice(lambda name: self.download("hf2", name, "ns/name"))

    def test_cli_036(self) -> None:
        """huggingface-cli of 0.36, with hf_xet, does the same."""
        self.publish()
        self.serve()
        self.thrice(lambda name: self.download("hf036", name, "ns/name"))

    def test_cli_025(self) -> None:
        """huggingface-cli of 0.25, which knows no Xet, does the same."""
        self.publish()
        self.serve()
        self.thrice(lambda name: self.download("hf025", name, "ns/name"))

    def test_hf_transfer(self) -> None:
        """hf_transfer, which asks in many ranges, does the same."""
        self.publish()
        self.serve()
        own = {"HF_HUB_ENABLE_HF_TRANSFER": "1", "HF_HUB_DISABLE_XET": "1"}
        self.thrice(lambda name: self.download("hf036", name, "ns/name", **own))

    def test_snapshots(self) -> None:
        """snapshot_download of the library takes a commit, too; with no hub all of it is there."""
        repo = self.publish()
        commit = repo.names["main"]
        self.serve()
        for venv in ("hf2", "hf025"):
            self.assertSnapshot(self.library(venv, f"{venv}-first", "ns/name", commit))
        self.settle()
        self.hub.stop()
        for venv in ("hf2", "hf025"):
            self.assertSnapshot(self.library(venv, f"{venv}-dead", "ns/name", commit))

    # -- repositories and revisions ----------------------------------------------------------

    def test_kinds(self) -> None:
        """Datasets, spaces and names of one segment."""
        for name in ("datasets/ns/data", "spaces/ns/space", "models/gpt2"):
            self.publish(name)
        self.serve()
        for kind, repo in (("dataset", "ns/data"), ("space", "ns/space"), ("model", "gpt2")):
            for venv in ("hf2", "hf025"):
                path = self.library(
                    venv, f"{venv}-{kind}", repo, kind=kind, file="model.safetensors"
                )
                self.assertTrue(path.read_bytes() == FILES["model.safetensors"])

    def test_revisions(self) -> None:
        """Branch, tag, pull request: each its own content, under whatever name it is asked for."""
        repo = self.publish()
        other = {"config.json": b'{"other": 1}'}
        repo.commit(other, "feature/x", "v1.0", "refs/pr/1")
        self.serve()
        for number, revision in enumerate(("feature/x", "v1.0", "refs/pr/1")):
            path = self.library("hf2", f"r{number}", "ns/name", revision, file="config.json")
            self.assertEqual(path.read_bytes(), other["config.json"])
        self.library("hf2", "wrong", "ns/name", "no-such", file="config.json", fails=True)
        self.assertIn("RevisionNotFound", self.output)
        self.library("hf2", "none", "ns/name", file="nothing.bin", fails=True)
        self.assertIn("EntryNotFound", self.output)
        self.library("hf2", "norepo", "ns/nothing", file="config.json", fails=True)
        self.assertIn("RepositoryNotFound", self.output)

    def test_renamed(self) -> None:
        """A repository under its old name."""
        self.publish()
        self.hub.renamed["models/old/name"] = "ns/name"
        self.serve()
        for venv in ("hf2", "hf036", "hf025"):
            path = self.library(venv, venv, "old/name", file="model.safetensors")
            self.assertTrue(path.read_bytes() == FILES["model.safetensors"])
        self.assertSnapshot(self.library("hf2", "all", "old/name"))

    def test_new_commit(self) -> None:
        """A branch that moves is seen at once; what has not changed is not fetched again."""
        repo = self.publish()
        self.serve()
        self.assertSnapshot(self.library("hf2", "first", "ns/name"))
        self.settle()
        before = self.hub.cdn.total()
        changed = {**FILES, "config.json": b'{"model_type": "y"}'}
        repo.commit(changed)
        self.assertSnapshot(self.library("hf2", "second", "ns/name"), changed)
        for venv in ("hf036", "hf025"):
            for file in ("config.json", "model.safetensors"):
                path = self.library(venv, f"{venv}-{file}", "ns/name", file=file)
                self.assertTrue(path.read_bytes() == changed[file])
        self.assertEqual(self.hub.cdn.total(), before)

    # -- rights ------------------------------------------------------------------------------

    def test_private(self) -> None:
        """Private files are for those whom the hub lets in, stored or not, and for nobody later."""
        self.publish("models/ns/secret", readers=frozenset({"right", "other"}))
        service = self.serve()
        self.assertSnapshot(self.download("hf2", "first", "ns/secret", token="right"))
        self.settle()
        before = self.hub.cdn.total()
        self.assertSnapshot(self.download("hf036", "second", "ns/secret", token="other"))
        self.assertEqual(self.hub.cdn.total(), before)
        self.assertNothingPast()
        self.download("hf2", "wrong", "ns/secret", token="wrong", fails=True)
        self.download("hf2", "nobody", "ns/secret", fails=True)
        commit = self.hub.repos["models/ns/secret"].names["main"]
        path = f"/ns/secret/resolve/{commit}/model.safetensors"
        refused = service.get(path, ("Authorization", "Bearer wrong"))
        self.assertEqual(
            (refused.status, refused.headers.get("x-error-code")), (401, "RepoNotFound")
        )
        asked = len(self.hub.hub.requests)
        for _ in range(5):
            reply = service.get(path, ("Authorization", "Bearer right"), method="HEAD")
            self.assertEqual(reply.status, 200)
        self.assertLessEqual(len(self.hub.hub.requests) - asked, 1)
        self.hub.stop()
        self.assertGreaterEqual(service.get(path).status, 500)
        self.assertGreaterEqual(service.get(path, ("Authorization", "Bearer wrong")).status, 400)

    def test_gated(self) -> None:
        """A gated repository says so, to each client in the hub's words."""
        self.publish("models/ns/gated", readers=frozenset({"right"}), gated=True)
        self.serve()
        self.assertSnapshot(self.library("hf2", "right", "ns/gated", token="right"))
        for venv in ("hf2", "hf025"):
            self.library(venv, venv, "ns/gated", file="config.json", token="no", fails=True)
            self.assertIn("GatedRepoError", self.output)

    def test_grace(self) -> None:
        """With no hub, a token that was let in within the grace is served, no other one."""
        self.publish("models/ns/secret", readers=frozenset({"right"}))
        self.serve(private_grace="1h")
        self.assertSnapshot(self.library("hf2", "first", "ns/secret", token="right"))
        self.settle()
        self.hub.stop()
        self.assertSnapshot(self.library("hf2", "dead", "ns/secret", token="right"))
        self.library("hf2", "wrong", "ns/secret", token="wrong", fails=True)

    def test_token_for_public(self) -> None:
        """What is public is shared between those who send a token and those who send none."""
        self.publish()
        self.serve()
        self.assertSnapshot(self.library("hf2", "first", "ns/name", token="any"))
        self.settle()
        self.hub.stop()
        self.assertSnapshot(self.library("hf2", "second", "ns/name"))

    # -- what goes wrong ---------------------------------------------------------------------

    def test_corrupt(self) -> None:
        """A large file that is not what the hub says is neither given out whole nor kept."""
        repo = self.publish()
        service = self.serve()
        commit = repo.names["main"]
        path = f"/ns/name/resolve/{commit}/model.safetensors"
        self.assertEqual(service.get(path, method="HEAD").status, 200)
        bad = bytearray(FILES["model.safetensors"])
        bad[LARGE // 2] ^= 0xFF
        (place,) = self.hub.large
        self.hub.large[place] = bytes(bad)
        self.library("hf2", "bad", "ns/name", file="model.safetensors", fails=True)
        self.assertNotKept(bytes(bad))

    def test_expiring(self) -> None:
        """A signature that expires midway is asked for again, and the file comes whole."""
        self.publish()
        self.hub.signed_uses = 2
        self.serve()
        path = self.library("hf2", "first", "ns/name", file="model.safetensors")
        self.assertTrue(path.read_bytes() == FILES["model.safetensors"])
        before = self.hub.cdn.total()
        self.assertLess(before, 1.3 * LARGE)

    def test_resume(self) -> None:
        """A client that has a part asks for the rest, and gets that."""
        repo = self.publish()
        service = self.serve()
        commit = repo.names["main"]
        content = FILES["model.safetensors"]
        home = self.fresh("home")
        blobs = home / "hf" / "hub" / "models--ns--name" / "blobs"
        blobs.mkdir(parents=True)
        name = hashlib.sha256(content).hexdigest()
        (blobs / f"{name}.incomplete").write_bytes(content[:5_000_000])
        command = [find_client("python", "hf025"), "-c", SCRIPT]
        output = self.assertRuns(
            [*command, "ns/name", commit, "model", "model.safetensors"],
            home,
            **self.environment(home),
        )
        self.assertTrue(Path(output.strip().splitlines()[-1]).read_bytes() == content)
        path = f"/ns/name/resolve/{commit}/model.safetensors"
        for start in (0, 5_000_000, LARGE - 1):
            reply = service.get(path, ("Range", f"bytes={start}-"))
            self.assertEqual((reply.status, len(reply.body)), (206, LARGE - start))
        reply = service.get(path, ("Range", f"bytes={LARGE}-"))
        self.assertEqual(reply.status, 416)

    def test_head(self) -> None:
        """HEAD and GET say the same, with the hub's own names, and lead nowhere else."""
        repo = self.publish()
        service = self.serve()
        commit = repo.names["main"]
        for file in ("config.json", "model.safetensors", "empty.txt"):
            content = FILES[file]
            for revision in ("main", commit):
                path = f"/ns/name/resolve/{revision}/{file}"
                for _ in range(2):
                    head = service.get(path, method="HEAD")
                    reply = service.get(path)
                    self.assertEqual((head.status, reply.status), (200, 200))
                    self.assertTrue(reply.body == content)
                    self.assertEqual(head.headers.get("content-length"), str(len(content)))
                    for name in ("etag", "x-repo-commit", "x-linked-size", "x-linked-etag"):
                        self.assertEqual(head.headers.get(name), reply.headers.get(name), name)
                    self.assertEqual(head.headers.get("x-repo-commit"), commit)
                    told = {n.lower() for n, _ in (*head.headers, *reply.headers)}
                    self.assertFalse({n for n in told if n.startswith("x-xet")} | told & {"link"})
                    self.settle()

    def test_slow_hub(self) -> None:
        """Over a slow network the second download is five times as fast as the first."""
        relay = RelayProgram(
            self.folder / "relay.log", self.hub.cdn.port, rate=300_000, round_trip=0.05
        )
        self.addCleanup(relay.program.kill)
        self.hub.cdn_url = f"http://127.0.0.1:{relay.port}"
        repo = self.publish()
        service = self.serve()
        path = f"/ns/name/resolve/{repo.names['main']}/model.safetensors"
        took = []
        for _ in range(2):
            began = time.monotonic()
            self.assertTrue(service.get(path).body == FILES["model.safetensors"])
            took.append(time.monotonic() - began)
            self.settle()
        self.assertLess(took[1], took[0] / 5)
