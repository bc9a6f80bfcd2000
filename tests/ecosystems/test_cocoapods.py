"""CocoaPods: what pod asks of the CDN, and its Podfile."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from aimirror.config.presets import presets
from aimirror.ecosystems.registry import setting
from aimirror.settings.patching import taken_back
from tests.ecosystems.support import WorldCase
from tests.mirror.support import refused

URL = "http://mirror:8081"
SPEC = "/cocoapods/Specs/a/7/5/AFNetworking/4.0.1/AFNetworking.podspec.json"


class SettingTests(SynchronousTestCase):
    def test_podfile(self) -> None:
        """The mirror comes in the place of the CDN, beside other sources; undone, it is gone."""
        before = (
            "source 'https://cdn.cocoapods.org/'\nsource 'https://company/specs.git'\n"
            "target 'App' do\n  pod 'AFNetworking'\nend\n"
        )
        after = setting("cocoapods", URL).merges(before)
        self.assertNotIn("cdn.cocoapods.org", after)
        self.assertIn("source 'https://company/specs.git'\n", after)
        self.assertIn(f"source '{URL}/cocoapods/'", after)
        self.assertEqual(taken_back(before, after, after), before)


class RecordedTests(WorldCase):
    """What pod 1.15 asks for a pod, one after the other, with its ETags."""

    name = "npm"  # the generic rule alone, of a world that knows nothing of these paths

    def test_specifications(self) -> None:
        """Lists and specifications are kept to the letter, have ETags, and outlive the CDN."""
        (rule,) = presets()["cocoapods"]
        self.assertEqual(rule["upstream"], "https://cdn.cocoapods.org")
        self.assertNotIn("content_rewrite", rule)
        self.use(path_prefix="/cocoapods", strip_prefix=True)
        spec = json.dumps({"source": {"http": "https://up.test/a.zip"}}).encode()
        files = {
            "/cocoapods/CocoaPods-version.yml": b"min: 1.0.0\nprefix_lengths: [1, 1, 1]\n",
            "/cocoapods/all_pods_versions_a_7_5.txt": b"AFNetworking/4.0.1\n",
            SPEC: spec,
        }
        for path, content in files.items():
            fields = ('ETag: "v"', "Cache-Control: max-age=60")
            self.answers[path.removeprefix("/cocoapods")] = (200, fields, content)
        for _ in range(2):
            for path, content in files.items():
                status, answer_fields, body = self.get(path)
                self.assertEqual((status, body), (200, content))
                self.assertEqual(answer_fields.get("etag"), '"v"')
                self.assertEqual(self.get(path, 'If-None-Match: "v"')[0], 304)
        self.assertEqual(len(self.urls()), 3)
        self.upstream.handler = lambda outgoing: refused()
        self.clock.advance(1000)
        self.assertEqual(self.get(SPEC)[2], spec)
