"""aimirror.http.tokens: the beginnings that services document for their tokens."""

from __future__ import annotations

import base64

from twisted.trial.unittest import SynchronousTestCase

from aimirror.http.headers import Headers
from aimirror.http.tokens import misled


class MisledTests(SynchronousTestCase):
    def judged(self, value: str, host: str) -> bool:
        return misled(Headers([("Authorization", value)]), host)

    def test_service(self) -> None:
        """A known token is for its service's hosts, and for hosts that may be anybody's proxy."""
        basic = "Basic " + base64.b64encode(b"__token__:pypi-abc").decode()
        for value, host, wanted in (
            ("Bearer hf_abc", "huggingface.co", False),
            ("Bearer hf_abc", "cdn-lfs.hf.co", False),
            ("Bearer hf_abc", "pypi.nvidia.com", True),
            ("Bearer hf_abc", "github.com", True),
            ("Bearer hf_abc", "registry.npmjs.org", True),
            ("Bearer hf_abc", "hub.company", False),
            ("Bearer hf_abc", "nothuggingface.co", False),
            ("token ghp_abc", "raw.githubusercontent.com", False),
            ("token ghp_abc", "npm.pkg.github.com", False),
            ("token ghp_abc", "huggingface.co", True),
            ("Bearer npm_abc", "registry.npmjs.org", False),
            (basic, "pypi.org", False),
            (basic, "download.pytorch.org", True),
            ("Bearer abc", "pypi.nvidia.com", False),
            ("Basic !!", "pypi.nvidia.com", False),
            ("", "pypi.nvidia.com", False),
        ):
            self.assertEqual(self.judged(value, host), wanted, (value, host))
