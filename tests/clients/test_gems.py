"""gem and Bundler through the rubygems preset."""

from __future__ import annotations

import hashlib
from pathlib import Path

from aimirror.testing.behaviour import pattern
from tests.clients.worlds import WorldTests, find_client

SPEC = """Gem::Specification.new do |s|
  s.name = "{name}"; s.version = "{version}"; s.summary = "t"; s.authors = ["a"]
  s.files = ["lib/{name}.rb", "data.bin"]
end
"""


class GemCase(WorldTests):
    def setUp(self) -> None:
        super().setUp()
        self.gem = find_client("gem")
        self.start({"preset": "rubygems", "upstream": self.upstream.url, "chunk_size": 300_000})
        self.site = self.fresh("site")
        self.info: dict[str, str] = {}
        self.publish("tool-a", "1.0", 21)

    def publish(self, name: str, version: str, seed: int) -> str:
        """Build a gem and add it to the compact index; its path."""
        folder = self.fresh(f"build-{name}-{version}-{seed}")
        (folder / "lib").mkdir()
        (folder / f"lib/{name}.rb").write_text("X = 1\n")
        (folder / "data.bin").write_bytes(pattern(1_200_000, seed))
        (folder / "it.gemspec").write_text(SPEC.format(name=name, version=version))
        self.assertRuns([self.gem, "build", "it.gemspec"], folder)
        content = (folder / f"{name}-{version}.gem").read_bytes()
        (self.site / "gems").mkdir(exist_ok=True)
        path = f"/gems/{name}-{version}.gem"
        (self.site / path[1:]).write_bytes(content)
        self.assertRuns([self.gem, "generate_index", "-d", str(self.site)])
        for file in self.site.rglob("*"):
            if file.is_file():
                self.upstream.put(f"/{file.relative_to(self.site)}", file.read_bytes())
        sha256 = hashlib.sha256(content).hexdigest()
        line = f"{version} |checksum:{sha256},ruby:>= 2.0\n"
        others = [
            x
            for x in self.info.get(name, "---\n").splitlines(True)
            if not x.startswith(f"{version} ")
        ]
        self.info[name] = "".join([*others, line])
        versions = "created_at: 2024-01-01T00:00:00Z\n---\n"
        for each, info in self.info.items():
            self.index(f"/info/{each}", info)
            told = ",".join(x.partition(" ")[0] for x in info.splitlines()[1:])
            versions += f"{each} {told} {hashlib.md5(info.encode()).hexdigest()}\n"
        self.index("/versions", versions)
        self.upstream.put("/", b"<html>gems</html>", "text/html")  # else gem takes the old index
        self.index("/names", "---\n" + "\n".join(self.info) + "\n")
        return path

    def index(self, path: str, text: str) -> None:
        """Bundler takes the ETag for the MD5 of the text."""
        etag = f'"{hashlib.md5(text.encode()).hexdigest()}"'
        self.upstream.put(path, text.encode(), "text/plain; charset=utf-8", etag=etag)


class GemTests(GemCase):
    def install(self, name: str, *words: str) -> tuple[list[str], Path]:
        folder = self.fresh(name)
        source = ["--clear-sources", "--source", f"{self.mirror}/rubygems/"]
        into = ["--no-document", "--install-dir", str(folder)]
        return [self.gem, "install", *source, *into, *(words or ("tool-a",))], folder

    def test_gem(self) -> None:
        """gem installs; again without a byte of a gem, and with no upstream."""
        path = "/gems/tool-a-1.0.gem"
        for turn in ("first", "second", "dead"):
            before = self.upstream.total(".gem")
            if turn == "dead":
                self.upstream.stop()
            command, folder = self.install(turn)
            self.assertRuns(command)
            cached = folder / "cache/tool-a-1.0.gem"
            self.assertEqual(cached.read_bytes(), self.upstream.files[path].content)
            self.assertKept(self.upstream.files[path].content)
            if turn != "first":
                self.assertEqual(self.upstream.total(".gem"), before)

    def test_without_compact_index(self) -> None:
        """An index in the old form is enough to install from."""
        for path in ("/", "/info/tool-a", "/versions", "/names"):
            del self.upstream.files[path]
        command, folder = self.install("old")
        self.assertRuns(command)
        gem = self.upstream.files["/gems/tool-a-1.0.gem"].content
        self.assertEqual((folder / "cache/tool-a-1.0.gem").read_bytes(), gem)

    def test_corrupt(self) -> None:
        """A gem that is not what the compact index says is neither installed nor kept.

        Whichever index the client asks for.
        """
        path = "/gems/tool-a-1.0.gem"
        self.upstream.spoil(path)
        for turn in ("new", "old"):
            command, folder = self.install(turn)
            self.assertFails(command)
            self.assertFalse((folder / "gems/tool-a-1.0").exists())
            self.assertNotKept(self.upstream.files[path].content)
            self.upstream.files.pop("/", None)
            self.purge("--all")

    def test_rebuilt(self) -> None:
        """A gem that was built anew under its version is followed."""
        for seed in (23, 24):
            path = self.publish("tool-a", "1.0", seed)
            command, folder = self.install(f"built-{seed}")
            self.assertRuns(command)
            kept = (folder / "cache/tool-a-1.0.gem").read_bytes()
            self.assertEqual(kept, self.upstream.files[path].content)
            self.purge("/rubygems/info/tool-a", "/rubygems/versions")


class BundlerTests(GemCase):
    def install(self, name: str) -> tuple[list[str], Path, dict[str, str]]:
        folder = self.fresh(name)
        gemfile = f'source "{self.mirror}/rubygems"\ngem "tool-a"\n'
        (folder / "Gemfile").write_text(gemfile)
        own = {"HOME": str(folder), "BUNDLE_PATH": str(folder / "vendor"), "BUNDLE_RETRY": "0"}
        return [find_client("bundle"), "install"], folder, own

    def test_bundler(self) -> None:
        """Bundler installs; again without a byte of a gem, and with no upstream."""
        for turn in ("first", "second", "dead"):
            before = self.upstream.total(".gem")
            if turn == "dead":
                self.upstream.stop()
            command, folder, own = self.install(turn)
            self.assertRuns(command, folder, **own)
            lock = (folder / "Gemfile.lock").read_text()
            self.assertIn(f"remote: {self.mirror}/rubygems/\n", lock)
            self.settle()
            if turn != "first":
                self.assertEqual(self.upstream.total(".gem"), before)

    def test_new_release(self) -> None:
        """A version that was added to the index is there after a purge for who has the index."""
        command, folder, own = self.install("new")
        self.assertRuns(command, folder, **own)
        self.publish("tool-a", "1.1", 22)
        self.purge("--rule", "rubygems")
        self.assertRuns([command[0], "update", "tool-a"], folder, **own)
        self.assertIn("tool-a (1.1)", (folder / "Gemfile.lock").read_text())
