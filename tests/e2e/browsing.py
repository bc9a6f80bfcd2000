"""Tests of the mirror's own pages in a real browser."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from aimirror.admin.own_token import read_token
from aimirror.testing.processes import ServiceProgram
from tests.e2e.browser import Browser
from tests.e2e.support import EndToEndTests

#: Seconds in which something has to be seen.
SOON = 20
#: Widths of windows, in pixels.
PHONE, DESK = 375, 1200
ROOT = Path(__file__).resolve().parents[2]
CLIENTS = Path(os.environ.get("AIMIRROR_TEST_CLIENTS") or ROOT / ".venv-clients")
AXE = CLIENTS / "js" / "node_modules" / "axe-core" / "axe.min.js"
#: What is wrong with a page by axe's rules, in words for people.
_FINDINGS = """axe.run().then(({violations}) => violations.map(each =>
 `${each.id}: ${each.nodes.map(node => node.html.slice(0, 200)).join(' ')}`))"""


class BrowserTests(EndToEndTests):
    """A page of a browser, and a service whose rule takes all paths of the origin."""

    def setUp(self) -> None:
        program = shutil.which("chromium")
        if program is None:
            raise SkipTest("chromium is not installed")
        super().setUp()
        self.page = Browser(program, self.folder / "profile")
        self.addCleanup(self.page.close)

    def serving(self, rules: list[dict[str, Any]] | None = None, **sections: Any) -> ServiceProgram:
        service = ServiceProgram(self.folder, rules or [self.rule()], **sections)
        self.addCleanup(service.program.kill)
        return service

    def stored(self, *paths: str) -> ServiceProgram:
        """A service with these files, the first one the largest."""
        service = self.serving()
        count = len(paths)
        self.origin.script(
            {path: {"size": 10_000 * (count - n), "seed": n} for n, path in enumerate(paths)}
        )
        for path in paths:
            service.get(path)
        self.settle(service)
        return service

    def open(self, service: ServiceProgram, page: str = "admin/") -> None:
        """Go to a page of the mirror's own, until its scripts have run."""
        self.page.call("Page.navigate", url=f"http://127.0.0.1:{service.port}/aimirror/{page}")
        place = f"/aimirror/{page}".partition("?")[0].partition("#")[0]
        self.see(f"document.readyState === 'complete' && location.pathname === '{place}'")

    def shown(self, service: ServiceProgram, page: str = "admin/") -> None:
        """Go to a page of the administration, until it shows what there is."""
        self.open(service, page)
        self.see("document.getElementById('connection').textContent", "live")

    def see(self, script: str, wanted: Any = True) -> None:
        """Wait until an expression on the page has a value."""
        until = time.monotonic() + SOON
        while (value := self.page.run(script)) != wanted:
            self.assertLess(time.monotonic(), until, f"{script} is {value!r}, not {wanted!r}")
            time.sleep(0.1)

    def text(self, selector: str) -> str:
        """What can be read in the first element."""
        value: str = self.page.run(f"document.querySelector('{selector}')?.innerText ?? ''")
        return value

    def focus(self, selector: str) -> None:
        """Put the keyboard at the first element."""
        self.page.run(f"document.querySelector('{selector}').focus()")

    def focused(self) -> str:
        """What the keyboard is at."""
        label = "(e => e.getAttribute('aria-label') || e.textContent)(document.activeElement)"
        value: str = self.page.run(label)
        return value

    def give_token(self, token: str) -> None:
        """Type the token that is asked for."""
        self.see("document.activeElement.id", "token")
        self.page.run("document.getElementById('token').value = ''")
        self.page.call("Input.insertText", text=token)
        self.page.enter()

    def give_own_token(self, service: ServiceProgram) -> None:
        """Type that in the cache folder, and see the question go."""
        self.give_token(read_token(service.cache))
        self.see("document.getElementById('login').hidden")

    def window(self, width: int) -> None:
        """Have a window of a width."""
        self.page.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=800,
            deviceScaleFactor=1,
            mobile=width == PHONE,
        )

    def prefer(self, scheme: str) -> None:
        """Like light or dark."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.page.call("Emulation.setEmulatedMedia", features=features)

    def findings(self) -> list[str]:
        """What axe finds wrong with the page; skips without axe."""
        if not AXE.is_file():
            raise SkipTest("axe-core is not installed (tests/clients/install.py)")
        if not self.page.run("'axe' in window"):
            self.page.run(AXE.read_text("utf-8") + "; null")
        found: list[str] = self.page.run(_FINDINGS)
        return found
