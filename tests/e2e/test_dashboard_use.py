"""The administration's pages in a real browser: who may use them, and what they change."""

from __future__ import annotations

from tests.e2e.browsing import BrowserTests

TOKEN = "0123456789abcdef"


class StoredFilesTests(BrowserTests):
    def test_by_keyboard(self) -> None:
        """Pinning and purging by keyboard, after the token was asked for once."""
        service = self.stored("/1", "/2", "/3")
        self.shown(service, "admin/files")
        self.see("document.querySelectorAll('#entries tr').length", 3)
        self.focus("#entries .acts button")
        self.page.enter()
        self.give_own_token(service)
        self.focus("#entries .acts button")
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

    def test_own_address(self) -> None:
        """What is looked for is in the page's address, and is there again by it."""
        service = self.stored("/1", "/2", "/3")
        self.shown(service, "admin/files?contains=/2&rule=files")
        self.see("document.querySelectorAll('#entries tr').length", 1)
        self.page.run("document.querySelector('[name=contains]').value = '/3'")
        self.focus("[name=contains]")
        self.page.enter()
        self.see("document.querySelector('#entries button').textContent.endsWith('/3')")
        self.see("location.search", "?contains=%2F3&rule=files&order=largest")


class GateTests(BrowserTests):
    def test_token(self) -> None:
        """A mirror with a token asks for it, says when it is wrong, and opens by the right one."""
        service = self.serving(admin={"token": TOKEN})
        self.open(service)
        self.give_token("f" * 16)
        self.see("document.getElementById('login-why').textContent", "That token is wrong.")
        self.give_token(TOKEN)
        self.see("document.getElementById('login').hidden")
        self.see("document.getElementById('connection').textContent", "live")
        self.shown(service, "admin/cache")
        self.see("document.getElementById('login').hidden")

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


class KeyboardTests(BrowserTests):
    def test_skipping(self) -> None:
        """The first key leads past the menu; further ones go along it."""
        service = self.serving()
        self.shown(service, "admin/usage")
        self.page.tab()
        self.assertEqual(self.focused(), "Skip to content")
        self.page.enter()
        self.see("document.activeElement.id", "main")
        self.shown(service, "admin/usage")
        for name in ("Skip to content", "aimirror", "Overview", "Downloads"):
            self.page.tab()
            self.assertEqual(self.focused(), name)
        self.page.enter()
        self.see("location.pathname", "/aimirror/admin/downloads")


class JobsTests(BrowserTests):
    def test_fetched_ahead(self) -> None:
        """What is typed is fetched, after the token was asked for, and the job is shown."""
        service = self.serving()
        path = self.serve()
        self.shown(service, "admin/jobs")
        self.page.run("document.querySelector('[name=kind]').value = 'urls'")
        self.focus("[name=text]")
        self.page.call("Input.insertText", text=path)
        self.focus("#prefetch-form button")
        self.page.enter()
        self.give_own_token(service)
        self.focus("#prefetch-form button")
        self.page.enter()
        self.see("document.querySelector('.job .facts span')?.textContent", "done")
        self.assertEqual(service.get(path).headers.get("X-Cache"), "HIT")


class WelcomeTests(BrowserTests):
    def npm(self) -> list[dict[str, object]]:
        return [{"preset": "npm", "path_prefix": "/js"}]

    def test_without_a_script(self) -> None:
        """Without any script everybody reads what is served, and how clients are set up."""
        service = self.serving(self.npm())
        self.page.call("Emulation.setScriptExecutionDisabled", value=True)
        self.open(service, "")
        self.assertIn("npm", self.text("main"))
        self.assertNotIn("docker", self.text("main"))
        self.open(service, "setup/npm")
        place = f"registry=http://127.0.0.1:{service.port}/js/"
        self.assertIn(place, self.text("pre"))

    def test_copied_on_plain_http(self) -> None:
        """Where a browser gives the page no clipboard, the set-up of a client is copied, too."""
        self.open(self.serving(self.npm()), "setup/npm")
        self.see("document.querySelectorAll('button.copy').length", 2)
        self.page.run(
            "Object.defineProperty(navigator, 'clipboard', {value: undefined});"
            "document.addEventListener('copy', () => { window.got = getSelection().toString()"
            " || document.activeElement.value; });"
            "document.querySelector('button.copy').focus()"
        )
        self.page.enter()
        self.see("window.got === document.querySelector('pre').textContent")
        self.see("document.getElementById('copied').textContent", "Copied.")
        self.assertEqual(self.page.run("document.querySelectorAll('textarea.copying').length"), 0)
        self.assertEqual(self.page.wrong, [])
