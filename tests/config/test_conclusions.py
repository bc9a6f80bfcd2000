"""Rules that say little: what a file of the first version and bare rules stand for."""

from __future__ import annotations

from pathlib import Path

import yaml
from twisted.trial.unittest import SynchronousTestCase

from aimirror.config import Config, expanded, load
from aimirror.routing.digests import Source
from aimirror.routing.mounts import mounts
from aimirror.routing.rules import Route, route_of

DOCUMENT = Path(__file__).with_name("document.yaml")
HEX = "0123456789abcdef" * 4
COMMIT = HEX[:40]
#: Paths that a name like a mount's, or another world's paths, would mislead, and whose they are.
COLLISIONS = (
    ("/nvidia/Nemotron/resolve/main/config.json", "huggingface.co"),
    (f"/nvidia/Nemotron/resolve/{COMMIT}/a.safetensors", "huggingface.co"),
    ("/nvidia/Nemotron/resolve/v1.0/config.json", "huggingface.co"),
    ("/nvidia/Nemotron/resolve/v1.0/data.zip", "huggingface.co"),
    ("/nvidia/Nemotron/resolve/refs%2Fpr%2F1/a.bin", "huggingface.co"),
    ("/torch/model/blob/main/x.bin", "huggingface.co"),
    ("/github/CodeSearchNet/resolve/main/x", "huggingface.co"),
    ("/conda-forge/model/resolve/main/x.conda", "huggingface.co"),
    ("/simple/model/resolve/main/README.md", "huggingface.co"),
    ("/maven2/model/resolve/main/x.jar", "huggingface.co"),
    ("/datasets/nvidia/HelpSteer/resolve/main/train.jsonl.gz", "huggingface.co"),
    ("/o/n/resolve/main/packages/numpy-1-py3-none-any.whl", "huggingface.co"),
    ("/o/n/resolve/main/src/contrib/a_1.tar.gz", "huggingface.co"),
    ("/o/n/resolve/main/v2/x/blobs/sha256:" + HEX, "huggingface.co"),
    ("/o/n/resolve/main/api/models/x", "huggingface.co"),
    ("/gpt2/resolve/main/config.json", "huggingface.co"),
    ("/api/models/nvidia/Nemotron/revision/main", "huggingface.co"),
    ("/api/datasets/o/n/tree/main", "huggingface.co"),
    ("/api/whoami-v2", "huggingface.co"),
    ("/nvidia/cuda-python/", "pypi.nvidia.com"),
    ("/nvidia/cuda-python/cuda_python-13-py3-none-any.whl", "pypi.nvidia.com"),
    ("/torch/cu130/torch/", "download.pytorch.org"),
    ("/registry/npm/resolve", "registry.npmjs.org"),
    ("/registry/npm/resolve/-/resolve-1.22.11.tgz", "registry.npmjs.org"),
    ("/registry/npm/@scope%2fblob", "registry.npmjs.org"),
    ("/conda-forge/noarch/repodata.json.zst", "conda.anaconda.org"),
    ("/bioconda/linux-64/samtools-1.2-0.conda", "conda.anaconda.org"),
    ("/maven2/com/resolve/lib/1.0/lib-1.0.jar", "repo.maven.apache.org"),
    ("/conda-forge/miniforge/releases/latest/download/Miniforge3-Linux-x86_64.sh", "github.com"),
    ("/conda-forge/miniforge/releases/download/25.1/Miniforge3.sh", "github.com"),
    ("/github/browserify/resolve/releases/download/v1/x.tgz", "github.com"),
    ("/github/resolve/repo/releases/download/v1/x.tgz", "github.com"),
    ("/api/v1/models/o/n/repo", "www.modelscope.cn"),
    ("/models/o/n/resolve/master/a.bin", "www.modelscope.cn"),
    ("/conda/rapidsai/linux-64/repodata.json", "conda.anaconda.org"),
    ("/conda/nvidia/label/cuda-12.4.0/linux-64/a-1-0.conda", "conda.anaconda.org"),
    ("/cuda/ubuntu2404/x86_64/InRelease", "developer.download.nvidia.com"),
    ("/pytorch/models/resnet18-f37072fd.pth", "download.pytorch.org"),
    ("/pyg/whl/torch-2.8.0+cu129.html", "data.pyg.org"),
    ("/vllm/nightly/vllm/", "wheels.vllm.ai"),
    ("/google-storage/jax-releases/jax_releases.html", "storage.googleapis.com"),
    ("/nodejs/v22.1.0/node-v22.1.0.tar.gz", "nodejs.org"),
    ("/rust/dist/channel-rust-stable.toml", "static.rust-lang.org"),
    ("/playwright/builds/chromium/1/chromium-linux.zip", "cdn.playwright.dev"),
    ("/openaipublic/main/whisper/models/a/tiny.pt", "openaipublic.blob.core.windows.net"),
    ("/civitai/api/download/models/1", "civitai.com"),
    ("/kaggle/api/v1/models/x", "www.kaggle.com"),
    ("/nltk/index.xml", "raw.githubusercontent.com"),
    ("/astral/github/uv/releases/download/x", "releases.astral.sh"),
    ("/github/astral-sh/python-build-standalone/releases/download/2/x.tar.gz", "github.com"),
    ("/github-api/repos/o/r/releases/latest", "api.github.com"),
    ("/kernels/o/n/resolve/main/build.toml", "huggingface.co"),
    ("/api/kernels/o/n/revision/main", "huggingface.co"),
    ("/bin/windows/contrib/4.4/a_1.0.zip", "cran.r-project.org"),
    ("/src/contrib/PACKAGES.gz", "cran.r-project.org"),
    ("/v2/library/nginx/blobs/sha256:" + HEX, "registry-1.docker.io"),
    ("/simple/numpy/", "pypi.org"),
)


def host_of(config: Config, path: str) -> str:
    found = route_of(config.rules, path, "")
    assert isinstance(found, Route), path
    return found.urls[0].split("/")[2]


class CollisionTests(SynchronousTestCase):
    """A path belongs to one upstream."""

    def test_built_in(self) -> None:
        """The built-in rules lead each client's paths to its own upstream."""
        config = load(None, {"HOME": "/h"})
        for path, host in COLLISIONS:
            self.assertEqual(host_of(config, path), host, path)

    def test_document(self) -> None:
        """So does the first version's document, word for word."""
        config = load(DOCUMENT, {"HOME": "/h"})
        for path, host in COLLISIONS:
            self.assertEqual(host_of(config, path), host, path)

    def test_anything(self) -> None:
        """A rule for whole URLs takes them wherever it stands behind the built-in ones."""
        text = (Path(__file__).parent.parent.parent / "config.yaml").read_text()
        *first, last = yaml.safe_load(text)["rules"]
        hosts = ["github.com", "huggingface.co"]
        own = {"name": "any", "pattern": "^/https?:/", "upstream": "*", "allow": hosts}
        file = Path(self.mktemp())
        file.write_text(yaml.safe_dump({"rules": [*first, own, last]}))
        rules = load(file, {"HOME": "/h"}).rules
        for path in (
            "/https://github.com/o/r/releases/download/v1/x.tgz",
            "/https://huggingface.co/o/n/resolve/main/x",
            "/https:/huggingface.co/o/n/resolve/v1/x",
        ):
            found = route_of(rules, path, "")
            assert isinstance(found, Route)
            self.assertEqual(found.rule.name, "any", path)


class DocumentTests(SynchronousTestCase):
    """The configuration of version 0.3 gets what the built-in one has."""

    def setUp(self) -> None:
        self.config = load(DOCUMENT, {"HOME": "/h"})

    def routed(self, path: str) -> Route:
        found = route_of(self.config.rules, path, "")
        assert isinstance(found, Route)
        return found

    def test_hub(self) -> None:
        """Files of the hub are known as such: digest, commit, and what never changes."""
        for revision, immutable in (("main", False), (COMMIT, True)):
            found = self.routed(f"/o/n/blob/{revision}/x.bin")
            self.assertEqual(found.rule.ecosystem, "huggingface")
            self.assertEqual(found.rule.digests[0].source, Source.HEADER)
            self.assertEqual(found.urls[0], f"https://huggingface.co/o/n/resolve/{revision}/x.bin")
            self.assertEqual(found.immutable, immutable)

    def test_python(self) -> None:
        """Pages, files and metadata are PyPI's, from the upstreams that the document names."""
        files = f"/packages/{HEX[:2]}/{HEX[2:4]}/{HEX[4:]}/numpy-2-py3-none-any.whl"
        for path, immutable, strategy in (
            ("/simple/numpy/", False, "proxy"),
            (files, True, "parallel"),
            (files + ".metadata", True, "proxy"),
        ):
            found = self.routed(path)
            self.assertEqual(found.rule.ecosystem, "pypi", path)
            self.assertEqual(found.urls[0], f"https://pypi.org{path}")
            self.assertEqual((found.immutable, found.rule.strategy.value), (immutable, strategy))
        rewrite = self.routed("/simple/numpy/").rule.content_rewrite
        assert rewrite is not None
        self.assertEqual(rewrite.targets, ("https://files.pythonhosted.org",))
        prefixes = {mount.base: mount.prefix for mount in mounts(self.config.rules)}
        self.assertEqual(prefixes["https://files.pythonhosted.org"], "")

    def test_fields_stay(self) -> None:
        """What a rule says itself is as it says."""
        rules = {rule.name: rule for rule in self.config.rules}
        self.assertEqual(rules["r-package"].min_size, 102400)
        self.assertEqual(rules["r-package"].ecosystem, "cran")
        self.assertEqual(rules["docker-blob"].ecosystem, "oci")
        self.assertEqual(rules["default"].ecosystem, "")

    def test_shown(self) -> None:
        """What was concluded is printed with its reason, and means the same."""
        shown = expanded(DOCUMENT)
        self.assertIn("# concluded: its handler is handlers.docker", shown)
        self.assertIn("# concluded: built in", shown)
        file = Path(self.mktemp())
        file.write_text(shown)
        self.assertEqual(load(file, {"HOME": "/h"}).rules, self.config.rules)


class BareTests(SynchronousTestCase):
    def load(self, rules: str) -> Config:
        file = Path(self.mktemp())
        file.write_text(f"rules: [{rules}]")
        return load(file, {"HOME": "/h"})

    def test_worlds(self) -> None:
        """The upstream, the paths, the handler or the fields asked for tell the world."""
        for fields, wanted in (
            ("upstream: 'https://huggingface.co', path_prefix: /hf", "huggingface"),
            ("upstream: 'https://hf-mirror.com', path_prefix: /hf", "huggingface"),
            ("upstream: 'http://h', pattern: '/(blob|resolve)/'", "huggingface"),
            ("upstream: 'http://h', head_meta_headers: [X-Linked-Etag]", "huggingface"),
            ("upstream: 'http://h', pattern: '^/simple/'", "pypi"),
            ("upstream: 'http://h', pattern: '\\.(whl|zip)$'", "pypi"),
            ("upstream: 'https://registry.npmjs.org', path_prefix: /n", "npm"),
            ("upstream: 'http://h', pattern: '^/src/contrib/'", "cran"),
            ("upstream: 'http://h', handler: handlers.docker", "oci"),
            ("upstream: 'https://repo1.maven.org/maven2', path_prefix: /m", "maven"),
            ("upstream: 'https://download.pytorch.org/whl', path_prefix: /t", "pypi"),
            ("upstream: 'https://download.pytorch.org', path_prefix: /t", ""),
            ("upstream: 'https://download.pytorch.org/whlx', path_prefix: /t", ""),
            ("upstream: 'https://nothuggingface.co', path_prefix: /hf", ""),
            ("upstream: 'https://huggingface.co', path_prefix: /hf, ecosystem: none", ""),
            ("upstream: 'https://huggingface.co', path_prefix: /hf, ecosystem: npm", "npm"),
            ("upstream: 'http://h', path_prefix: /files", ""),
        ):
            rule = self.load(f"{{name: a, {fields}}}").rules[0]
            self.assertEqual(rule.ecosystem, wanted, fields)

    def test_own_words_win(self) -> None:
        """Nothing that a rule says is replaced."""
        fields = "immutable: false, digest: [], cache: {ttl: 1s}"
        rule = self.load(
            f"{{name: a, upstream: 'https://huggingface.co', path_prefix: /hf, {fields}}}"
        ).rules[0]
        self.assertEqual((rule.immutable, rule.digests, rule.cache.ttl), (False, (), 1.0))

    def test_new_files_stay(self) -> None:
        """A file with any key that 0.3 did not know has its own rules alone."""
        old = (
            "{name: a, pattern: '^/x/', upstream: 'http://h'},"
            " {name: default, pattern: '.*', upstream: 'https://pypi.org'%s}"
        )
        self.assertGreater(len(self.load(old % "").rules), 10)
        self.assertEqual(len(self.load(old % ", credentials: none").rules), 2)
        self.assertEqual(len(self.load(old % ", ecosystem: none").rules), 2)
        elsewhere = old.replace("pypi.org", "files.company")
        self.assertEqual(len(self.load(elsewhere % "").rules), 2)


class ServiceTests(SynchronousTestCase):
    """A rule with nothing but the address of a well-known service."""

    def load(self, rules: str) -> Config:
        file = Path(self.mktemp())
        file.write_text(f"rules: {rules}")
        return load(file, {})

    def taker(self, config: Config, path: str) -> tuple[str, str]:
        """Who takes a path, and the host that it asks."""
        found = route_of(config.rules, path, "")
        assert isinstance(found, Route)
        return found.rule.name, found.urls[0].split("/")[2]

    def test_pypi(self) -> None:
        """PyPI's files are served and its pages lead to them; the rest goes to it as before."""
        config = self.load("[{name: pypi, upstream: 'https://pypi.org'}]")
        wheel = "/packages/aa/bb/x-1-py3-none-any.whl"
        self.assertEqual(self.taker(config, wheel), ("pypi-packages", "files.pythonhosted.org"))
        self.assertEqual(self.taker(config, "/simple/x/"), ("pypi-index", "pypi.org"))
        self.assertEqual(self.taker(config, "/pypi/x/json"), ("pypi", "pypi.org"))
        self.assertIn("https://files.pythonhosted.org", [m.base for m in mounts(config.rules)])

    def test_others(self) -> None:
        """Docker Hub and the hub get what their clients need."""
        config = self.load("[{name: d, upstream: 'https://registry-1.docker.io/'}]")
        self.assertEqual(self.taker(config, "/v2/library/x/manifests/1")[0], "d-registry")
        config = self.load("[{name: h, upstream: 'https://huggingface.co', xet: pass}]")
        rules = {rule.name: rule for rule in config.rules}
        self.assertEqual(rules["h-files"].ecosystem, "huggingface")
        self.assertEqual(rules["h-files"].xet.value, "pass")

    def test_said_more(self) -> None:
        """A rule that says which paths it takes, or refuses it, is left alone."""
        for more in ("pattern: '^/x'", "path_prefix: /x", "ecosystem: none", "handler: h"):
            config = self.load(f"[{{name: a, upstream: 'https://pypi.org', {more}}}]")
            self.assertEqual([rule.name for rule in config.rules], ["a"], more)
        config = self.load("[{name: a, upstream: 'https://other.example'}]")
        self.assertEqual(len(config.rules), 1)
