"""The administration's pages in a real browser: what they show."""

from __future__ import annotations

import json
import signal
import socket
import time

from aimirror.admin import history
from aimirror.admin.overview import STEPS
from aimirror.admin.pages import SECTIONS
from aimirror.server.tally import Series, Totals
from aimirror.testing.processes import own_environment
from tests.e2e.browsing import DESK, PHONE, BrowserTests
from tests.e2e.support import InBackground


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


#: A path that is of a package and a version.
RELEASE = "/owner/name/releases/download/v1.2/file.bin"


class DashboardTests(BrowserTests):
    def test_charts(self) -> None:
        """What was sampled before a restart is drawn, with axes; the keyboard tells moments."""
        (self.folder / "cache").mkdir()
        now, series = time.time(), [Series(step, length) for step, length in STEPS]
        for n in range(1, 21):
            totals = Totals(30 * n, 10 * n, 9_000_000 * n, 5_000_000 * n, 2_000_000 * n, n)
            series[0].sample(now - 250 + 10 * n, totals)
        history.write(self.folder / "cache", history.dumped(series))
        service = self.serving()
        self.shown(service)
        self.see("document.querySelectorAll('#c-requests rect').length", 40)
        ticks = self.page.run(
            "[...document.querySelectorAll('#c-bytes .tick')].map(e => e.textContent)"
        )
        self.assertEqual(ticks[:3], ["0 B", "5.0 MB", "10.0 MB"])
        self.assertEqual(len(ticks), 8)
        self.focus("#c-requests svg")
        self.page.press("ArrowLeft", 37)
        self.see("/^[0-9:]+: hits 30, misses 10$/.test(document.querySelector('.tip').textContent)")
        self.page.press("Escape", 27)
        self.see("document.querySelector('.tip').textContent", "")
        self.page.run("document.querySelector('#c-ratio').scrollIntoView()")
        box = self.page.run(
            "(b => [b.x + b.width * 0.94, b.y + 20])"
            "(document.querySelector('#c-ratio svg').getBoundingClientRect())"
        )
        self.page.call("Input.dispatchMouseEvent", type="mouseMoved", x=box[0], y=box[1])
        self.see("document.querySelector('#c-ratio .tip').textContent.endsWith('hit rate 75 %')")
        self.focus('[data-series="1"]')
        self.page.enter()
        self.see("document.querySelectorAll('#c-requests rect').length", 0)
        self.assertEqual(self.page.wrong, [])
        (service.cache / history.NAME).unlink()
        service.program.stop()
        again = [Series(step, length) for step, length in STEPS]
        history.read(service.cache, again, time.time())
        self.assertGreaterEqual(len(again[0].steps()), 20)

    def test_behind(self) -> None:
        """The store and the other nodes have a row, and what is wrong with them is red."""
        (self.folder / "key").write_text("k" * 32 + "\n")
        away = f"127.0.0.1:{free_port()}"
        service = self.serving(
            cluster={
                "key_file": str(self.folder / "key"),
                "peers": ["127.0.0.1:1", away],
                "self": "127.0.0.1:1",
            },
            tier={"url": "s3://mirror/v1", "endpoint": f"http://{away}"},
            environment={
                **own_environment(),
                "AWS_ACCESS_KEY_ID": "name",
                "AWS_SECRET_ACCESS_KEY": "secret",
            },
        )
        self.shown(service)
        self.see("document.getElementById('behind').hidden", False)
        rows = "[...document.querySelectorAll('#behind dt')].map(e => e.textContent)"
        self.assertEqual(self.page.run(rows), ["Store (S3)", "2 nodes"])
        self.see("Boolean(document.querySelector('#behind .bad')?.textContent)")
        self.assertIn("127.0.0.1:1 (this one)", self.text("#behind"))
        self.assertIn("nothing waits to be sent", self.text("#behind"))
        self.assertEqual((self.page.wrong, self.findings()), ([], []))

    def test_running(self) -> None:
        """A download is seen to go on, with the parts that are there, until it has ended."""
        service = self.serving()
        path = self.serve(rate=200_000)
        reader = InBackground(service.get, path)
        self.shown(service, "admin/downloads")
        self.see("document.querySelectorAll('.download').length", 1)
        self.see("document.querySelectorAll('.download rect').length > 1")
        label = "document.querySelector('.download svg').getAttribute('aria-label')"
        first = self.page.run(label)
        self.see(f"{label} !== {json.dumps(first)}")
        self.see("document.querySelectorAll('.download').length", 0)
        self.assertWhole(reader.result())
        self.see("document.querySelector('#answers td.url')?.textContent", path)

    def test_packages(self) -> None:
        """Packages are found by name, and a version is pinned and purged by keyboard."""
        service = self.stored(RELEASE, RELEASE.replace("v1.2", "v1.3"), "/other/file.bin")
        self.shown(service, "admin/cache?contains=nam")
        self.see("document.querySelectorAll('#packages tr').length", 1)
        self.assertEqual(self.text("#packages a"), "owner/name")
        self.assertIn("1 files of no single package", self.text("#packages-rest"))
        self.focus("#packages a")
        self.page.enter()
        self.see("location.pathname", "/aimirror/admin/package")
        self.see("document.querySelectorAll('.version').length", 2)
        self.focus(".version button")
        self.page.enter()
        self.give_own_token(service)
        self.focus(".version button")
        self.page.enter()
        self.see("document.querySelector('.version button').textContent", "Unpin")
        self.page.tab()
        self.page.enter()
        self.see("document.getElementById('sure').open")
        self.page.tab()
        self.page.enter()
        self.see("document.querySelectorAll('.version').length", 1)

    def test_troubles(self) -> None:
        """An upstream that fails is red with its reason, and clients' errors have theirs."""
        service = self.serving([{**self.rule(), "min_size": None, "strategy": "proxy"}])
        self.origin.script({"/bad": {"status": 503}, "/good": {"size": 1000, "seed": 1}})
        self.assertEqual(service.get("/good").status, 200)
        self.assertEqual(service.get("/bad?signature=geheim").status, 503)
        self.shown(service, "admin/upstreams")
        self.see("document.querySelectorAll('#u-list tr').length", 1)
        self.see("document.querySelector('#u-list tr').className", "ill")
        self.assertIn("it answers with status 503", self.text("#u-list .bad"))
        self.shown(service, "admin/errors")
        self.see("document.querySelectorAll('#errors tr').length", 1)
        self.assertIn("/bad?...", self.text("#errors tr"))
        self.assertNotIn("geheim", self.text("main"))
        self.shown(service, "admin/usage")
        self.see("document.querySelector('#talkers th')?.textContent", "127.0.0.1")
        self.see("document.querySelector('#by-rule th')?.textContent", "files")
        self.assertEqual(self.page.wrong, [])

    def test_log(self) -> None:
        """The log's lines are there, those of the start too, and new ones come."""
        service = self.stored("/1")
        self.shown(service, "admin/log")
        self.see("document.querySelectorAll('#lines p').length > 0")
        self.see("document.getElementById('lines').textContent.includes('is up, pid')")
        before = self.page.run("document.querySelectorAll('#lines p').length")
        service.program.process.send_signal(signal.SIGHUP)
        self.see(f"document.querySelectorAll('#lines p').length > {before}")
        self.see("document.getElementById('lines').textContent.includes('reloaded')")

    def test_rules(self) -> None:
        """A URL of an upstream is answered with the rule that takes it."""
        self.shown(self.serving(), "admin/rules")
        self.see("document.querySelectorAll('#r-list tr').length", 1)
        self.focus("#which input")
        self.page.call("Input.insertText", text=f"{self.origin.url}/some/file?signature=1")
        self.page.enter()
        self.see("document.getElementById('which-answer').innerText.includes('files')")

    def test_all_pages(self) -> None:
        """No page has a finding, light or dark, wide or narrow; none is long, none complains."""
        service = self.stored(RELEASE, "/2")
        service.get("/missing")
        pages = ["", "setup/proxy", *(f"admin/{each.name}" for each in SECTIONS)]
        for page in pages:
            page = f"{page}?world=github&name=owner/name" if page.endswith("package") else page
            (self.shown if page.startswith("admin") else self.open)(service, page)
            for width, scheme in ((DESK, "light"), (PHONE, "dark")):
                self.window(width)
                self.prefer(scheme)
                self.assertEqual(self.findings(), [], f"{page} {scheme} {width}")
                self.assertEqual(self.page.run("document.documentElement.scrollWidth"), width, page)
            self.window(DESK)
            self.assertLess(self.page.run("document.documentElement.scrollHeight"), 1600, page)
            self.assertEqual((page, self.page.wrong, self.page.nameless()), (page, [], []))

    def test_dark(self) -> None:
        """Who prefers dark gets dark pages with light text."""
        brightness = (
            "['backgroundColor', 'color'].map(name => getComputedStyle(document.body)[name]"
            ".match(/\\d+/g).slice(0, 3).reduce((sum, each) => sum + Number(each), 0))"
        )
        self.shown(self.serving())
        light, text = self.page.run(brightness)
        self.assertGreater(light, text)
        self.prefer("dark")
        dark, text = self.page.run(brightness)
        self.assertLess(dark, text)
