from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.http.negotiated import AGENTS, NOBODY, TYPES, agent, types


class AgentTests(SynchronousTestCase):
    """Who a client is to an upstream."""

    def test_known(self) -> None:
        """Programs that registries know keep their name and the number of their version."""
        table = {
            'pip/26.0 {"ci":null,"cpu":"x86_64"}': "pip/26.0",
            "uv/0.9.7 {...}": "uv/0.9.7",
            "npm/11.1.0 node/v22.3.0 linux x64 workspaces/false": "npm/11.1.0",
            "docker/28.1.1 go/go1.23 git-commit/01f442b kernel/6.1": "docker/28.1.1",
            "cargo 1.84.0 (66221abde 2024-11-19)": "cargo",
            "unknown/None; hf_hub/0.30.1; python/3.11": "hf_hub/0.30.1",
            "Debian APT-HTTP/1.3 (2.6.1)": "APT-HTTP/1.3",
            "Apache-Maven/3.9.9 (Java 17.0.1; Linux 6.1)": "Apache-Maven/3.9.9",
            "Go-http-client/1.1": "Go-http-client/1.1",
            "conda/26.1 requests/2.3 CPython/3.11": "conda/26.1",
            "R (4.3.1 x86_64-pc-linux-gnu x86_64 linux-gnu)": "R",
            "git/2.47.1": "git/2.47.1",
            "Ruby, RubyGems/3.6.2 x86_64-linux Ruby/3.4": "RubyGems/3.6.2",
        }
        self.assertEqual({value: agent(value) for value in table}, table)

    def test_others(self) -> None:
        """Browsers and all others are one client: no page for them is everybody's."""
        for value in ("Mozilla/5.0 (X11; Linux)", "", "evil/1", "<b>", "a" * 9000):
            self.assertEqual(agent(value), NOBODY)
        self.assertEqual(agent("pip/9x<script>"), "pip/9")

    @given(st.text(max_size=60))
    def test_any(self, value: str) -> None:
        """Nothing but a listed name and digits ever goes."""
        name, _, version = agent(value).partition("/")
        self.assertIn(name, {*AGENTS.values(), NOBODY})
        self.assertEqual(version.strip("0123456789."), "")


class TypesTests(SynchronousTestCase):
    """Which media types a client may want."""

    def test_known(self) -> None:
        """What registries choose by goes as it is."""
        corgi = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"
        table = {
            "*/*": "*/*",
            corgi: "application/vnd.npm.install-v1+json;q=1.0, application/json;q=0.8, */*",
            "application/vnd.oci.image.index.v1+json": "application/vnd.oci.image.index.v1+json",
            "text/html, image/gif, *; q=.2": "text/html, *;q=.2",
        }
        self.assertEqual({value: types(value) for value in table}, table)

    def test_others(self) -> None:
        """What no registry knows, parameters included, is not asked for."""
        for value in ("application/evil", "text/html2", "<script>", "", "a/b," * 9000):
            self.assertEqual(types(value), "*/*")
        self.assertEqual(types("text/html;profile=x;q=0.5, x/y"), "text/html;q=0.5")

    @given(st.lists(st.sampled_from([*sorted(TYPES), "x/y", "a", ";", "q=1"]), max_size=50))
    def test_any(self, members: list[str]) -> None:
        """Only listed types go, each once."""
        kept = [member.partition(";")[0] for member in types(", ".join(members)).split(", ")]
        self.assertLessEqual(set(kept), TYPES)
