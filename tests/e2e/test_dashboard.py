"""The dashboard in a real browser, mostly by keyboard."""

from __future__ import annotations

import json
import shutil
import time
from typing import Any

from twisted.trial.unittest import SkipTest

from aimirror.admin.own_token import read_token
from aimirror.testing.processes import ServiceProgram
from tests.e2e.browser import Browser
from tests.e2e.support import EndToEndTests, InBackground

#: Seconds in which something has to be seen.
SOON = 20
PHONE = 375
TOKEN = "0123456789abcdef"


class DashboardTests(EndToEndTests):
    def setUp(self) -> None:
        program = shutil.which("chromium")
        if program is None:
            raise SkipTest("chromium is not installed")
        super().setUp()
        self.page = Browser(program, self.folder / "profile")
        self.addCleanup(self.page.close)

    def serving(self, **sections: Any) -> ServiceProgram:
        service = ServiceProgram(self.folder, [self.rule()], **sections)
        self.addCleanup(service.program.kill)
        return service

    def stored(self, count: int) -> ServiceProgram:
        """A service with files ``/1``, ``/2`` and so on, the first one the largest."""
        service = self.serving()
        sizes = {
            f"/{n}": {"size": 10_000 * (count + 1 - n), "seed": n} for n in range(1, count + 1)
        }
        self.origin.script(sizes)
        for path in sizes:
            service.get(path)
        self.settle(service)
        return service

    def open(self, service: ServiceProgram) -> None:
        self.page.call("Page.navigate", url=f"http://127.0.0.1:{service.port}/aimirror/")
        self.see("document.readyState === 'complete' && Boolean(document.querySelector('#all'))")

    def see(self, script: str, wanted: Any = True) -> None:
        """Wait until an expression on the page has a value."""
        until = time.monotonic() + SOON
        while (found := self.page.run(script)) != wanted:
            self.assertLess(time.monotonic(), until, f"{script} is {found!r}, not {wanted!r}")
            time.sleep(0.1)

    def focused(self) -> str:
        """What the keyboard is at."""
        told = "(e => e.getAttribute('aria-label') || e.textContent)(document.activeElement)"
        found: str = self.page.run(told)
        return found

    def test_shows(self) -> None:
        """What is stored, and how clients are set up, without a fault; all controls have names."""
        service = self.stored(2)
        self.open(service)
        self.see("document.getElementById('connection').textContent", "live")
        self.see("document.querySelectorAll('#entries tr').length", 2)
        self.assertIn("/1", self.page.run("document.querySelector('#entries').innerText"))
        self.see("document.getElementById('snippets').innerText.includes('HTTPS_PROXY')")
        self.assertEqual((self.page.wrong, self.page.nameless()), ([], []))

    def test_copied_on_plain_http(self) -> None:
        """Where a browser gives the page no clipboard, the set-up of a client is copied, too."""
        self.open(self.serving())
        self.see("document.querySelectorAll('#snippets button').length > 0")
        self.page.run(
            "Object.defineProperty(navigator, 'clipboard', {value: undefined});"
            "document.addEventListener('copy', () => { window.got = getSelection().toString()"
            " || document.activeElement.value; });"
            "document.querySelector('#snippets button').focus()"
        )
        self.page.enter()
        self.see("window.got === document.querySelector('#snippets pre').textContent")
        self.see("document.getElementById('toast').textContent", "Copied.")
        self.assertEqual(self.page.run("document.querySelectorAll('textarea.copying').length"), 0)

    def test_clients(self) -> None:
        """Clients that the rules serve are offered, with this address and their place here."""
        service = ServiceProgram(self.folder, [{"preset": "npm", "path_prefix": "/js"}])
        self.addCleanup(service.program.kill)
        self.open(service)
        shown = "document.getElementById('snippets').innerText"
        self.see(f"{shown}.includes('registry=http://127.0.0.1:{service.port}/js/')")
        self.assertNotIn("docker", self.page.run(shown))

    def test_on_a_phone(self) -> None:
        """Nothing is wider than a phone's screen but what scrolls by itself."""
        self.page.call(
            "Emulation.setDeviceMetricsOverride",
            width=PHONE,
            height=700,
            deviceScaleFactor=1,
            mobile=True,
        )
        self.open(self.stored(1))
        self.see("document.querySelectorAll('#entries tr').length", 1)
        self.assertEqual(self.page.run("document.documentElement.scrollWidth"), PHONE)

    def test_dark(self) -> None:
        """Who prefers dark gets a dark page with light text."""
        brightness = (
            "['backgroundColor', 'color'].map(name => getComputedStyle(document.body)[name]"
            ".match(/\\d+/g).slice(0, 3).reduce((sum, each) => sum + Number(each), 0))"
        )
        self.open(self.serving())
        self.see("document.getElementById('connection').textContent", "live")
        light, text = self.page.run(brightness)
        self.assertGreater(light, text)
        features = [{"name": "prefers-color-scheme", "value": "dark"}]
        self.page.call("Emulation.setEmulatedMedia", features=features)
        dark, text = self.page.run(brightness)
        self.assertLess(dark, text)

    def test_by_keyboard(self) -> None:
        """Pinning and purging by keyboard, after the token was asked for once."""
        service = self.stored(3)
        self.open(service)
        self.see("document.querySelectorAll('#entries tr').length", 3)
        self.page.run("document.querySelector('#entries .acts button').focus()")
        self.page.enter()
        self.see("document.activeElement.id", "token")
        self.page.call("Input.insertText", text=read_token(service.cache))
        self.page.enter()
        self.see("document.getElementById('login').hidden")
        self.page.run("document.querySelector('#entries .acts button').focus()")
        self.page.enter()
        self.see("document.querySelector('#entries .acts button').textContent", "Unpin")
        self.assertTrue(self.focused().endswith("/1"), self.focused())
        self.page.tab()
        self.page.enter()
        self.see("document.getElementById('sure').open")
        self.assertEqual(self.focused(), "Cancel")
        self.page.tab()
        self.page.enter()
        self.see("document.querySelectorAll('#entries tr').length", 2)
        self.assertTrue(self.focused().endswith("/2"), self.focused())
        self.assertIn("Purge", self.focused())

    def test_which_rule(self) -> None:
        """A URL of an upstream is answered with the rule that takes it."""
        self.open(self.serving())
        self.see("document.getElementById('connection').textContent", "live")
        self.page.run("document.querySelector('#which input').focus()")
        self.page.call("Input.insertText", text=f"{self.origin.url}/some/file?signature=1")
        self.page.enter()
        self.see("document.getElementById('which-answer').innerText.includes('files')")

    def test_running(self) -> None:
        """A download is seen to go on, with the parts that are there, until it has ended."""
        service = self.serving()
        path = self.serve(rate=200_000)
        reader = InBackground(service.get, path)
        self.open(service)
        self.see("document.querySelectorAll('.download').length", 1)
        self.see("document.querySelectorAll('.download rect').length > 1")
        label = "document.querySelector('.download svg').getAttribute('aria-label')"
        first = self.page.run(label)
        self.see(f"{label} !== {json.dumps(first)}")
        self.see("document.querySelectorAll('.download').length", 0)
        self.assertWhole(reader.result())

    def test_mirrored_page(self) -> None:
        """A page of an upstream runs no script, so that it cannot use the administrators' API."""
        evil = "<title>quiet</title><p>text<script>document.title = 'loud'</script>"
        html = [["Content-Type", "text/html"]]
        self.origin.script({"/page.html": {"text": evil, "headers": html}})
        service = self.serving()
        self.assertEqual(service.get("/page.html").status, 200)
        self.page.call("Page.navigate", url=f"http://127.0.0.1:{service.port}/page.html")
        self.see("document.body?.innerText.trim() ?? ''", "text")
        self.assertEqual(self.page.run("[document.title, origin]"), ["quiet", "null"])

    def test_token(self) -> None:
        """A mirror with a token asks for it, says when it is wrong, and opens by the right one."""
        self.open(self.serving(admin={"token": TOKEN}))
        self.see("document.getElementById('login').hidden", False)
        for token, hidden in (("f" * 16, False), (TOKEN, True)):
            self.page.run("document.getElementById('token').value = ''")
            self.page.run("document.getElementById('token').focus()")
            self.page.call("Input.insertText", text=token)
            self.page.enter()
            if not hidden:
                self.see("document.getElementById('login-why').textContent", "That token is wrong.")
        self.see("document.getElementById('login').hidden")
        self.see("document.getElementById('connection').textContent", "live")
