"""The documents: links lead somewhere, both READMEs say the same, each dependency is told of."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from urllib.parse import unquote

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def documents() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = _HEADING.findall(_FENCE.sub("", text))
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


def blocks(text: str) -> list[str]:
    return _FENCE.findall(text)


def settings(text: str) -> list[list[str]]:
    """The code in each row of the tables, row by row."""
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    return [code for row in rows if (code := re.findall(r"`([^`]+)`", row))]


class LinkTests(SynchronousTestCase):
    def test_links(self) -> None:
        """Each relative link names a file that there is, and a heading in it."""
        self.assertGreater(len(documents()), 10)
        for document in documents():
            for link in _LINK.findall(_FENCE.sub("", document.read_text("utf-8"))):
                if "://" in link:
                    continue
                path, _, anchor = unquote(link).partition("#")
                target = document.parent / path if path else document
                self.assertTrue(target.exists(), f"{document}: {link}")
                if anchor:
                    self.assertIn(anchor, anchors(target.read_text("utf-8")), f"{document}: {link}")


class ReadmeTests(SynchronousTestCase):
    english = (ROOT / "README.md").read_text("utf-8")
    chinese = (ROOT / "README.zh.md").read_text("utf-8")

    def test_each_other(self) -> None:
        """Each leads to the other on its first screen."""
        self.assertIn("(README.zh.md)", self.english[:200])
        self.assertIn("(README.md)", self.chinese[:200])

    def test_same_commands(self) -> None:
        """What one is told to type or to write is the same, down to the last mark."""
        without = re.compile(r"\s*#.*$", re.MULTILINE)
        told = [
            [without.sub("", block) for block in blocks(t)] for t in (self.english, self.chinese)
        ]
        self.assertEqual(told[0], told[1])

    def test_same_settings(self) -> None:
        """The tables have the same code in the same rows."""

        def comparable(text: str) -> list[list[str]]:
            rows = settings(text.partition("## Work on it")[0])
            return [sorted(c.replace("客户端名", "CLIENT") for c in row) for row in rows]

        self.assertEqual(comparable(self.english), comparable(self.chinese))

    def test_same_figures(self) -> None:
        """Measured values are the same."""
        parts = (self.english.partition("## Measured")[2], self.chinese.partition("## 实测")[2])
        tables = [part.partition("\n## ")[0] for part in parts]
        figures = [re.findall(r"\d[\d,.]*", table.partition("| ---")[2]) for table in tables]
        self.assertGreater(len(figures[0]), 20)
        self.assertEqual(figures[0], figures[1])

    def test_first_screen(self) -> None:
        """What it is, the commands and the clients' settings come within the first 40 lines."""
        for text in (self.english, self.chinese):
            first = "\n".join(text.splitlines()[:40])
            for word in (
                "make run",
                "pip config set global.index-url",
                "registry-mirrors",
                "HF_ENDPOINT",
            ):
                self.assertIn(word, first)


class PromiseTests(SynchronousTestCase):
    def test_each_has_a_test(self) -> None:
        """The tests that docs/security.md names for its promises are there."""
        text = (ROOT / "docs" / "security.md").read_text("utf-8")
        table = text.partition("| promise | test |\n")[2].partition("\n\n")[0]
        rows = [row.split(" | ")[1] for row in table.splitlines()[1:]]
        self.assertGreater(len(rows), 10)
        for place in (place for row in rows for place in row.removesuffix(" |").split("; ")):
            source = (ROOT / "tests" / f"{place.split(' ')[0]}.py").read_text("utf-8")
            for name in re.findall(r"`(\w+)`", place):
                self.assertIn(f"def {name}(", source, place)


class DependencyTests(SynchronousTestCase):
    def test_each_has_a_line(self) -> None:
        """What is installed with the product is listed with its purpose, and nothing else is."""
        told = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        wanted = {re.split("[^A-Za-z0-9.-]", each)[0] for each in told["dependencies"]}
        page = (ROOT / "docs/dependencies.md").read_text("utf-8")
        listed = re.findall(r"^\| ([\w.-]+) \|", page, re.MULTILINE)
        self.assertEqual(set(listed) - {"package", "---"}, wanted)


class TranslationTests(SynchronousTestCase):
    """What is in Chinese, too, says the same: ``docs/zh`` mirrors ``docs``."""

    def pairs(self) -> list[tuple[Path, str, str]]:
        """Each translated page, its text, and the English one's."""
        folder = ROOT / "docs/zh"
        pages = sorted(folder.rglob("*.md"))
        self.assertGreater(len(pages), 5)
        english = [ROOT / "docs" / page.relative_to(folder) for page in pages]
        texts = [
            (page.read_text("utf-8"), other.read_text("utf-8"))
            for page, other in zip(pages, english, strict=True)
        ]
        return [(page, *text) for page, text in zip(pages, texts, strict=True)]

    def test_rows(self) -> None:
        """Tables have the same rows with the same code, so the same keys, defaults and paths."""
        for page, chinese, english in self.pairs():
            rows = [[sorted(row) for row in settings(text)] for text in (chinese, english)]
            for row in rows[1]:
                self.assertIn(row, rows[0], f"{page} has no such row")
            self.assertEqual(rows[0], rows[1], str(page))

    def test_blocks(self) -> None:
        """What is to be typed or written is the same, remarks left out."""
        remark = re.compile(r"\s+#.*$", re.MULTILINE)
        for page, chinese, english in self.pairs():
            told = [[remark.sub("", b) for b in blocks(text)] for text in (chinese, english)]
            self.assertEqual(told[0], told[1], str(page))

    def test_headings(self) -> None:
        """There are as many headings of each level."""
        for page, chinese, english in self.pairs():
            levels = [
                re.findall(r"^#+ ", _FENCE.sub("", t), re.MULTILINE) for t in (chinese, english)
            ]
            self.assertEqual(levels[0], levels[1], str(page))
