"""Files of one generation, while their newest bodies are still being synced to the disk."""

from __future__ import annotations

import hashlib

from tests.ecosystems.support import WorldCase
from tests.mirror.support import Played

FORMS = ("/src/contrib/PACKAGES.rds", "/src/contrib/PACKAGES.gz", "/src/contrib/PACKAGES")
NEWER = ("Cache-Control: no-cache",)


class GenerationCase(WorldCase):
    """Files that say that they hold for an hour."""

    def publish(self, generation: str, *paths: str) -> None:
        """From now on the upstream has this generation of these files."""
        for path in paths:
            body = f"{generation} of {path}".encode()
            tag = f'ETag: "{generation}"'
            self.answers[path] = lambda outgoing, tag=tag, body=body: (
                Played(304, tag, body=b"")
                if outgoing.headers.get("if-none-match") == tag.removeprefix("ETag: ")
                else Played(200, tag, "Cache-Control: max-age=3600", body=body)
            )

    def said(self, path: str, *fields: str) -> str:
        """The generation that a client gets, though it may have to wait for the disk."""
        self.clock.advance(1)
        client = self.ask(path, *fields)
        if not client.answers():
            self.run_threads()
            client.settle()
        return client.answer()[2].decode().partition(" ")[0]


class CranTests(GenerationCase):
    name = "cran"

    def test_slow_disk(self) -> None:
        """Once a client has one new form, nobody gets an older one, stored or not by then."""
        for slow in (False, True):
            self.use()
            self.publish(f"old{slow}", *FORMS)
            for form in FORMS:
                self.said(form, *NEWER)
            self.publish(f"new{slow}", *FORMS)
            self.slow_disk = slow
            self.assertEqual(self.said(FORMS[1], *NEWER), f"new{slow}")
            for form in FORMS:
                self.assertEqual(self.said(form), f"new{slow}")
            self.slow_disk = False
            self.run_threads()
            for form in FORMS:
                self.assertEqual(self.said(form), f"new{slow}")

    def test_remembered(self) -> None:
        """Nor does an exact repeat of an answered request get an older one."""
        self.publish("old", *FORMS)
        for form in FORMS * 2:
            self.said(form)
        self.publish("new", *FORMS)
        self.said(FORMS[1], *NEWER)
        self.assertEqual([self.said(form) for form in FORMS], ["new"] * 3)

    def test_settled(self) -> None:
        """Where nothing has changed, clients that alternate between forms cost no requests."""
        self.publish("old", *FORMS)
        for form in FORMS * 2:
            self.said(form)
        before = self.asked
        for form in FORMS * 3:
            self.said(form)
        self.assertEqual(self.asked, before)

    def test_same_bytes_again(self) -> None:
        """Nor where the upstream has no validators and sends all of it each time."""
        for form in FORMS:
            self.answers[form] = (200, ("Cache-Control: max-age=3600",), b"always")
        for form in FORMS * 3:
            self.said(form)
        before = self.asked
        for form in FORMS * 3:
            self.said(form)
        self.assertEqual(self.asked, before)

    def test_upstream_down(self) -> None:
        """An older form is better than none."""
        self.publish("old", *FORMS)
        for form in FORMS:
            self.said(form)
        self.publish("new", *FORMS)
        self.said(FORMS[1], *NEWER)
        self.falls()
        self.assertEqual(self.said(FORMS[0]), "old")


class AptTests(GenerationCase):
    name = "apt"

    def test_signature(self) -> None:
        """Release and its signature are of one generation."""
        paths = ("/dists/s/Release", "/dists/s/Release.gpg")
        for first, second in (paths, paths[::-1]):
            self.use()
            self.publish(f"old{first}", *paths)
            for path in paths * 2:
                self.said(path, *NEWER)
            self.publish(f"new{first}", *paths)
            self.slow_disk = True
            self.assertEqual(self.said(first, *NEWER), f"new{first}")
            self.assertEqual(self.said(second), f"new{first}")
            self.slow_disk = False
            self.run_threads()

    def test_upstream_down(self) -> None:
        """That the signature came later than what it signs is no reason to ask again."""
        paths = ("/dists/s/Release", "/dists/s/Release.gpg")
        self.publish("old", *paths)
        for path in paths:
            self.said(path)
        self.falls()
        self.assertEqual([self.said(path, *NEWER) for path in paths], ["old"] * 2)

    def test_package_of_new_index(self) -> None:
        """A package is checked by an index that is not synced yet."""
        right = hashlib.sha256(b"right").hexdigest()
        index = f"Filename: pool/a.deb\nSHA256: {right}\n"
        self.answers["/dists/s/main/Packages"] = (200, (), index.encode())
        self.answers["/pool/a.deb"] = (200, (), b"wrong")
        self.slow_disk = True
        self.said("/dists/s/main/Packages")
        self.assertEqual(self.get("/pool/a.deb")[0], 502)
        self.slow_disk = False
        self.run_threads()
        self.assertEqual(self.entries("/pool/a.deb"), ())
