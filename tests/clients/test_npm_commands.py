"""What npm, pnpm and yarn do beside a first install, through the npm preset."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from aimirror.testing.site import Asked, File
from tests.clients.test_npm import NpmCase
from tests.clients.worlds import find_client

#: Packages of a project that is installed at once.
MANY = 50


class CommandTests(NpmCase):
    def other(self, asked: Asked) -> File | None:
        """Search, tags and logins, as a registry answers them."""
        path = asked.target.partition("?")[0]
        if path == "/-/v1/search":
            found = {"name": "b", "version": "1.0.0", "links": {}, "date": "2024-01-01"}
            found |= {"keywords": [], "maintainers": [], "publisher": {"username": "me"}}
            text = json.dumps({"objects": [{"package": found}], "total": 1, "time": "now"})
            return File(text.encode(), "application/json")
        if path == "/-/whoami":
            right = asked.headers.get("authorization") == "Bearer right"
            text, status = (b'{"username": "me"}', 200) if right else (b"{}", 401)
            return File(text, "application/json", status)
        if path.startswith("/-/package/b/dist-tags"):
            return File(b'{"latest": "1.0.0"}', "application/json")
        if path.startswith("/-/user/org.couchdb.user:"):
            text = json.dumps({"ok": True, "id": "org.couchdb.user:me", "token": "fresh"})
            return File(text.encode(), "application/json", 201)
        return super().other(asked)

    def sent(self, path: str) -> list[Asked]:
        return [a for a in self.upstream.requests if a.target.partition("?")[0] == path]

    def test_questions(self) -> None:
        """view, search, whoami and dist-tag get the registry's own answers, each time."""
        folder = self.project("ask", "right")
        self.assertEqual(self.npm(folder, "view", "@s/a", "dependencies.b").strip(), "^1.0.0")
        for _ in range(2):
            self.assertIn("b", self.npm(folder, "search", "b", "--parseable"))
            self.assertEqual(self.npm(folder, "whoami").strip(), "me")
            self.npm(folder, "dist-tag", "add", "b@1.0.0", "beta")
        self.assertIn("text=b", self.sent("/-/v1/search")[0].target)
        self.assertEqual(len(self.sent("/-/whoami")), 2)
        put = self.sent("/-/package/b/dist-tags/beta")[0]
        self.assertEqual((put.method, json.loads(put.body)), ("PUT", "1.0.0"))
        self.npm(self.project("wrong", "wrong"), "whoami", fails=True)

    def test_signatures(self) -> None:
        """``npm audit signatures`` verifies by the registry's keys, with no upstream, too."""
        key = ec.generate_private_key(ec.SECP256R1())
        shown = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        name = "SHA256:" + base64.b64encode(hashlib.sha256(shown).digest()).decode().rstrip("=")
        kind = {"keytype": "ecdsa-sha2-nistp256", "scheme": "ecdsa-sha2-nistp256"}
        told = {**kind, "expires": None, "keyid": name, "key": base64.b64encode(shown).decode()}
        keys = json.dumps({"keys": [told]}).encode()
        self.upstream.put("/-/npm/v1/keys", keys, "application/json")
        self.sign("b", key, name)
        npm = find_client("npm", "older")
        for turn in ("first", "dead"):
            if turn == "dead":
                self.settle()
                self.upstream.stop()
            folder = self.project(f"signed-{turn}")
            install = [npm, "install", "b", "--no-audit", "--cache", str(folder / "cache")]
            self.assertRuns(install, folder)
            audit = [npm, "audit", "signatures", "--cache", str(folder / "other")]
            self.assertIn("1 package has a verified", self.assertRuns(audit, folder))
        self.upstream.start()
        self.sign("b", ec.generate_private_key(ec.SECP256R1()), name)
        self.purge("/registry/npm/b")
        audit = [npm, "audit", "signatures", "--cache", str(folder / "forged")]
        self.assertIn("invalid registry signature", self.assertRuns(audit, folder))

    def sign(self, name: str, key: ec.EllipticCurvePrivateKey, by: str) -> None:
        """Have the document of a package say that a key has signed it."""
        file = self.upstream.files[f"/{name}"]
        document = json.loads(file.content)
        dist = document["versions"]["1.0.0"]["dist"]
        text = f"{name}@1.0.0:{dist['integrity']}".encode()
        signature = base64.b64encode(key.sign(text, ec.ECDSA(hashes.SHA256()))).decode()
        dist["signatures"] = [{"keyid": by, "sig": signature}]
        content = json.dumps(document).encode()
        self.upstream.put(f"/{name}", content, file.media_type, headers=file.headers)

    def test_login(self) -> None:
        """A login reaches the registry with its password, and its token comes back, not kept."""
        path = "/-/user/org.couchdb.user:me"
        body = json.dumps({"name": "me", "password": "secret"}).encode()
        command = ["curl", "-fsS", "-X", "PUT", "-H", "Content-Type: application/json"]
        command += ["--data-binary", "@-", f"{self.registry}{path}"]
        (self.folder / "body").write_bytes(body)
        command[command.index("@-")] = f"@{self.folder}/body"
        for _ in range(2):
            self.assertEqual(json.loads(self.assertRuns(command))["token"], "fresh")
        self.assertEqual([a.body for a in self.sent(path)], [body, body])

    def test_many(self) -> None:
        """``npm ci`` of many packages at once fetches each once, and installs offline after."""
        names = [f"many{n}" for n in range(MANY)]
        paths = [self.publish(name, 100 + n) for n, name in enumerate(names)]
        lock = self.project("lock")
        wanted = {"name": "p", "version": "1.0.0", "dependencies": dict.fromkeys(names, "1.0.0")}
        (lock / "package.json").write_text(json.dumps(wanted))
        self.npm(lock, "install", "--package-lock-only", "--no-audit")
        self.upstream.sent.clear()
        folders = [self.project(f"ci{n}") for n in range(2)]
        for folder in folders:
            for name in ("package.json", "package-lock.json"):
                (folder / name).write_bytes((lock / name).read_bytes())
        self.npm(folders[0], "ci", "--no-audit")
        whole = sum(len(self.upstream.files[path].content) for path in paths)
        self.assertLess(self.upstream.total(".tgz"), 1.3 * whole)  # the last pieces are raced
        self.settle()
        self.upstream.stop()
        self.npm(folders[1], "ci", "--no-audit")
        for folder in folders:
            for name in names:
                self.assertTrue((folder / "node_modules" / name / "data.bin").exists(), name)

    def test_new_release(self) -> None:
        """A new version is there after a purge of the package's document, by its plain name."""
        folder = self.project("old")
        self.npm(folder, "install", "@s/a", "--no-audit")
        name = "/@s%2fa"
        for path in (name, name.replace("%2f", "%2F")):
            text = self.upstream.files[path].content
            text = text.replace(b'"latest":', b'"beta": "1.0.0", "latest":')
            self.upstream.put(path, text, "application/json")
        view = ("view", "@s/a", "dist-tags.beta")
        self.assertEqual(self.npm(self.project("kept"), *view).strip(), "")
        self.purge("/registry/npm/@s/a")
        self.assertEqual(self.npm(self.project("new"), *view).strip(), "1.0.0")

    def test_errors(self) -> None:
        """What the registry refuses comes through as it is, for npm to tell."""
        for status, word in ((403, "E403"), (404, "E404"), (429, "E429")):
            path = f"/refused{status}"
            self.upstream.put(path, b'{"error": "told"}', "application/json", status=status)
            said = self.npm(self.project(f"e{status}"), "view", path[1:], fails=True)
            self.assertIn(word, said)

    def own(self, folder: Path) -> dict[str, str]:
        return {
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(folder / "xdg"),
            "npm_config_store_dir": str(folder / "store"),
            "YARN_CACHE_FOLDER": str(folder / "yarn"),
            "npm_config_registry": f"{self.registry}/",
            "YARN_REGISTRY": self.registry,
        }

    def test_frozen_locks(self) -> None:
        """Lock files that pnpm and yarn made through the mirror install from it alone."""
        for program, first, again in (
            ("pnpm", ["add", "@s/a", "--ignore-scripts"], ["install", "--frozen-lockfile"]),
            ("yarn", ["add", "@s/a", "--non-interactive"], ["install", "--frozen-lockfile"]),
        ):
            client = find_client(program, "js")
            made = self.project(f"{program}-made")
            self.assertRuns([client, *first], made, **self.own(made))
            folder = self.project(f"{program}-frozen")
            for file in ("package.json", "pnpm-lock.yaml", "yarn.lock"):
                if (made / file).exists():
                    (folder / file).write_bytes((made / file).read_bytes())
            self.settle()
            before = self.upstream.total(".tgz")
            self.assertRuns([client, *again], folder, **self.own(folder))
            self.assertTrue((folder / "node_modules/@s/a/data.bin").exists())
            self.assertEqual(self.upstream.total(".tgz"), before)
            if program == "yarn":
                self.assertIn(self.registry, (folder / "yarn.lock").read_text())
