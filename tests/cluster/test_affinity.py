"""Affinity keys: what must lie on one node together, and what need not."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from aimirror.cluster.affinity import Shape, key, shapes
from aimirror.config import load
from aimirror.routing.rules import Rule

HASH = "sha256:" + 64 * "a"
#: Targets that belong together, under the built-in configuration.
TOGETHER = (
    (f"/v2/library/alpine/blobs/{HASH}", f"/v2/mirror/alpine/blobs/{HASH}?ns=docker.io"),
    ("/v2/library/alpine/manifests/latest", "/v2/library/alpine/tags/list?n=10"),
    ("/packages/aa/bb/x-1.whl", "/packages/aa/bb/x-1.whl.metadata"),
    ("/torch/cu130/torch/", "/torch-r2/whl/cu130/torch-2.0.whl", "/torch/cu130/torch-2.0.whl"),
    (
        "/registry/npm/@babel%2fcore",
        "/registry/npm/@babel/core/-/core-7.0.0.tgz",
        "/registry/npm/@babel%2Fcore/-/core-7.0.0.tgz",
    ),
    ("/registry/npm/lodash", "/registry/npm/lodash/-/lodash-4.17.21.tgz?x=y"),
    ("/conda-forge/linux-64/repodata.json.zst", "/conda-forge/linux-64/zlib-1.3-h0.conda"),
    ("/maven2/g/a/1.0/a-1.0.jar", "/maven2/g/a/1.0/a-1.0.jar.sha1"),
    ("/src/contrib/PACKAGES.rds", "/src/contrib/A_1.0.tar.gz", "/src/contrib/Archive/A/A_0.tar.gz"),
    ("/debian/dists/stable/InRelease", "/debian/pool/main/h/hello/hello_2.10-3_amd64.deb"),
    ("/crates/se/rd/serde", "/crates-files/serde/serde-1.0.0.crate"),
    ("/crates/3/s/syn", "/crates-files/syn/syn-2.0.0.crate"),
    ("/rubygems/info/rack-test", "/rubygems/gems/rack-test-2.1.0.gem"),
    ("/fedora/os/repodata/repomd.xml", "/fedora/os/Packages/h/hello-2.10.rpm"),
    ("/goproxy/golang.org/x/mod/@v/list", "/goproxy/golang.org/x/mod/@latest"),
    ("/org/m/resolve/main/a/b.bin", f"/org/m/resolve/{40 * 'a'}/a/b.bin?download=true"),
    ("/api/models/org/m/revision/main", "/api/models/org/m/tree/main?recursive=True"),
)
#: Targets that are better spread.
APART = (
    "/simple/requests/",
    "/simple/urllib3/",
    "/packages/aa/bb/x-1.whl",
    "/packages/aa/bc/x-1.whl",
    "/registry/npm/lodash",
    "/registry/npm/@babel/core",
    "/registry/npm/@babel/types",
    "/conda-forge/linux-64/a-1.conda",
    "/conda-forge/noarch/a-1.conda",
    "/maven2/g/a/1.0/a-1.0.jar",
    "/maven2/g/a/1.1/a-1.1.jar",
    "/org/m/resolve/main/a.bin",
    "/org/m/resolve/main/b.bin",
    "/some/file?version=1",
    "/some/file?version=2",
)


class AffinityTests(SynchronousTestCase):
    known = shapes(load(None).rules)

    def test_together(self) -> None:
        """A file has the key of the index that names its digest, however it is asked for."""
        for targets in TOGETHER:
            self.assertEqual(len({key(self.known, target) for target in targets}), 1, targets)

    def test_apart(self) -> None:
        """Packages, and files that need no index, have keys of their own."""
        self.assertEqual(len({key(self.known, target) for target in APART}), len(APART))

    def test_prefix(self) -> None:
        """A mount's prefix is text, whatever its characters mean elsewhere."""
        rule = Rule(name="r", upstreams=("http://h",), ecosystem="npm", path_prefix="/a.b(c")
        (bare, *_) = shapes([rule])
        self.assertNotIn("\\", bare.pattern)
        self.assertEqual(key(shapes([rule]), "/a.b(c/x/-/x-1.tgz"), "/a.b(c/x")
        self.assertEqual(key(shapes([rule]), "/aXb(c/x/-/x-1.tgz"), "/aXb(c/x/-/x-1.tgz")

    def test_portable(self) -> None:
        """Each expression is anchored and is of the kind that RE2 and PCRE read as Python does."""
        for shape in self.known:
            self.assertIsInstance(shape, Shape)
            self.assertTrue(shape.pattern.startswith("^") and shape.pattern.endswith("$"))
            for foreign in (r"\(\?[^:]", r"\\", r"['\" ]", r"[*+?}]\+"):
                self.assertIsNone(re.search(foreign, shape.pattern), shape.pattern)
