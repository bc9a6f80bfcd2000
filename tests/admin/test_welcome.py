"""What everybody is told of a mirror."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urljoin

from twisted.trial.unittest import SynchronousTestCase

from aimirror.admin.pages import PLACE
from aimirror.admin.welcome import TITLES, Welcome, offer_of
from aimirror.config import load
from aimirror.config.offers import offered
from aimirror.ecosystems.registry import WORLDS
from aimirror.server.answers import Answer

BASE = "https://mirror.test"
PRIVATE = """
rules:
  - {name: our-secret-project, path_prefix: /secret, upstream: "https://intern.corp"}
  - {preset: npm, path_prefix: /js, name: hush}
"""


class WelcomeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.rules = load(None, {}).rules
        self.forward = True
        self.welcome = Welcome(lambda: self.rules, lambda: self.forward)

    def answer(self, path: str, *, administered: bool = True, base: str = BASE) -> Answer | None:
        return self.welcome.answer(f"{PLACE}{path}", base, administered=administered)

    def text(self, path: str, **more: object) -> str:
        answer = self.answer(path, **more)  # type: ignore[arg-type]
        assert answer is not None and isinstance(answer.body, bytes), path
        self.assertEqual(answer.status, 200)
        return answer.body.decode()

    def use(self, text: str) -> None:
        path = Path(self.mktemp())
        path.write_text(text)
        self.rules = load(path, {}).rules

    def test_all_clients(self) -> None:
        """Each client that the rules serve has a page, with what has to stand where."""
        page = self.text("/")
        links = re.findall(r'href="setup/([^"]+)"', page)
        self.assertEqual(set(links), {*offered(self.rules), "proxy"})
        for client in links:
            self.assertIn("mirror.test", self.text(f"/setup/{client}"), client)
        pip = self.text("/setup/pip")
        self.assertIn(f"index-url = {BASE}/simple", pip)
        self.assertIn(f"aimirror setup pip --write --url {BASE}", pip)

    def test_titles(self) -> None:
        """Every world has a name for people, and those with clients are offered by it."""
        self.assertEqual({world.name for world in WORLDS}, TITLES.keys())
        shown = {title for title, _ in offer_of(self.rules, False).worlds}
        self.assertEqual(shown, {TITLES[world.name] for world in WORLDS if world.clients})

    def test_without_a_script(self) -> None:
        """The pages can be read without a script, and load nothing from elsewhere."""
        for path in ("/", "/setup/pip"):
            page = self.text(path)
            self.assertNotIn("hidden", page)
            self.assertEqual(re.findall(r"\son\w+=|style=|<style|<script>", page), [])
            loaded = re.findall(r'(?:src|href)="([^"]*)"', page)
            self.assertEqual([each for each in loaded if each.startswith(("http", "//"))], [])
            answer = self.answer(path)
            assert answer is not None
            self.assertIn("'none'", answer.headers.get("content-security-policy") or "")

    def test_nothing_private(self) -> None:
        """No upstream, no login, no rule's name and none of its other paths is told."""
        self.use(PRIVATE)
        page = self.text("/") + self.text("/setup/npm")
        for word in ("secret", "intern.corp", "npmjs", "hush"):
            self.assertNotIn(word, page)
        self.assertIn(f"registry={BASE}/js/", page)
        self.assertIsNone(self.answer("/setup/pip"))

    def test_rules_of_the_moment(self) -> None:
        """A reload changes the pages."""
        self.assertIn('href="setup/docker"', self.text("/"))
        self.use(PRIVATE)
        self.forward = False
        page = self.text("/")
        self.assertNotIn('href="setup/docker"', page)
        self.assertIn('href="setup/npm"', page)
        self.assertNotIn("proxy", page)
        self.assertIsNone(self.answer("/setup/proxy"))

    def test_nothing_served(self) -> None:
        """Where no well-known client is served, the page says so."""
        self.rules, self.forward = (), False
        self.assertIn("No well-known client", self.text("/"))

    def test_administration(self) -> None:
        """The administration is linked where it is at the same address."""
        self.assertIn('href="admin/"', self.text("/"))
        self.assertIn('href="../admin/"', self.text("/setup/pip"))
        self.assertNotIn("admin/", self.text("/", administered=False))

    def test_hostile_address(self) -> None:
        """Whatever a client calls the mirror, it can't put elements into the page."""
        page = self.text("/", base='http://"><script>alert(1)</script>')
        self.assertNotIn("<script>alert", page)
        page = self.text("/setup/pip", base='http://"><script>alert(1)</script>')
        self.assertNotIn("<script>alert", page)

    def test_other_paths(self) -> None:
        """The short ways lead on; there is no page for what is no client."""
        for below in ("", "/below/a/path"):
            for path, place in (
                ("", f"{PLACE}/"),
                ("/setup", f"{PLACE}/#clients"),
                ("/setup/", f"{PLACE}/#clients"),
            ):
                answer = self.answer(path)
                assert answer is not None
                location = answer.headers.get("location") or ""
                moved = urljoin(f"http://h.test{below}{PLACE}{path}", location)
                self.assertEqual((answer.status, moved), (308, f"http://h.test{below}{place}"))
        for path in ("/setup/nobody", "/setup/../x", "/setup/pip/", "/style.css"):
            self.assertIsNone(self.answer(path), path)
