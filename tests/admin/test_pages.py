"""The administration's pages and their files."""

from __future__ import annotations

import re
from urllib.parse import urljoin

from twisted.trial.unittest import SynchronousTestCase

from aimirror.admin.pages import PLACE, SECTIONS, Pages


class PagesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pages = Pages()

    def text(self, path: str) -> str:
        answer = self.pages.answer(f"{PLACE}/{path}")
        assert isinstance(answer.body, bytes)
        self.assertEqual(answer.status, 200, path)
        return answer.body.decode()

    def test_policy(self) -> None:
        """All that there is lets in nothing foreign and nothing inline, and goes into no frame."""
        paths = ["style.css", "copy.js", "icon.svg", "admin/", "admin/common.js", "admin/chart.js"]
        paths += [f"admin/{section.name}{end}" for section in SECTIONS for end in ("", ".js")]
        for path in paths:
            policy = self.pages.answer(f"{PLACE}/{path}").headers.get("content-security-policy")
            assert policy is not None, path
            self.assertIn("default-src 'none'", policy)
            self.assertIn("frame-ancestors 'none'", policy)
            self.assertNotIn("unsafe", policy)
        self.assertEqual(self.pages.answer(f"{PLACE}/../secret").status, 404)
        moved = self.pages.answer(f"{PLACE}/admin").headers.get("location")
        self.assertEqual(urljoin(f"{PLACE}/admin", moved), f"{PLACE}/admin/")

    def test_nothing_from_elsewhere(self) -> None:
        """A page loads nothing from another host and has no script or style within."""
        for section in SECTIONS:
            page = self.text(f"admin/{section.name}")
            loaded = re.findall(r'(?:src|href)="([^"]*)"', page)
            self.assertEqual([each for each in loaded if each.startswith(("http", "//"))], [])
            self.assertEqual(re.findall(r"\son\w+=|style=|<style|<script>", page), [])

    def test_menu(self) -> None:
        """Each page leads to all others, and says which one it is."""
        for section in SECTIONS:
            page = self.text(f"admin/{section.name}")
            menu = page.partition("<nav")[2].partition("</nav>")[0]
            current = re.findall(r'<a href="([^"]+)" aria-current=page>', page)
            self.assertEqual(current, [section.of or section.name])
            for other in SECTIONS:
                self.assertEqual(f'<a href="{other.name}"' in menu, not other.of, other.name)

    def test_scripts_and_pages_agree(self) -> None:
        """Every element that a script asks for by its id is in its page, and only once."""
        common = set(re.findall(r'\$\("([\w-]+)"\)', self.text("admin/common.js")))
        for section in SECTIONS:
            page = self.text(f"admin/{section.name}")
            script = self.text(f"admin/{section.name}.js")
            wanted = common | set(
                re.findall(r'(?:\$|submits|words|remembered)\("([\w-]+)"', script)
            )
            ids = re.findall(r'id="([\w-]+)"', page)
            self.assertEqual(wanted - set(ids), set(), section.name)
            self.assertEqual(len(ids), len(set(ids)), section.name)

    def test_labels(self) -> None:
        """Every field has a label, for those who hear the page."""
        for section in SECTIONS:
            page = self.text(f"admin/{section.name}")
            inside = "".join(re.findall(r"<label[^>]*>.*?</label>", page, re.DOTALL))
            named = set(re.findall(r'<label for="([\w-]+)"', page))
            for field in re.findall(r"<(?:input|select|textarea)\b[^>]*>", page):
                own = re.search(r'id="([\w-]+)"', field)
                known = field in inside or " hidden" in field or (own and own[1] in named)
                self.assertTrue(known, field)
