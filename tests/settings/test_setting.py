"""What clients are told, and how it goes into files that are there."""

from __future__ import annotations

import json
import tomllib
from configparser import ConfigParser

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems.registry import CLIENTS, setting
from aimirror.settings.setting import Address

URL = "http://mirror:8081"


class ClientTests(SynchronousTestCase):
    def test_names_the_mirror(self) -> None:
        """Every client's text names the mirror, and so does a new file."""
        for client in CLIENTS:
            found = setting(client, URL)
            self.assertIn("mirror:8081", found.text, client)
            self.assertTrue(found.probe.startswith(f"{URL}/"), client)
            if not found.existing:
                self.assertIn("mirror:8081", found.merges(None), client)

    def test_twice(self) -> None:
        """Writing the same twice changes nothing the second time."""
        for client in CLIENTS:
            found = setting(client, URL)
            once = found.text if found.existing else found.merges(None)
            self.assertEqual(found.merges(once), once, client)

    def test_moved(self) -> None:
        """A world that is elsewhere is told of there, in the text, the file and the probe."""
        for client, usual in (("npm", "/registry/npm"), ("go", "/goproxy"), ("maven", "/maven2")):
            found = setting(client, Address(URL, {usual: "/else/where"}))
            for text in (found.text, found.merges(None), found.probe):
                self.assertIn(f"{URL}/else/where", text)
                self.assertNotIn(usual, text)

    def test_machine(self) -> None:
        """The release is the machine's own, whatever distribution it is."""
        for client, machine, line in (
            ("apt", {"ID": "debian", "VERSION_CODENAME": "bookworm"}, "/debian bookworm main"),
            ("apt", {"ID": "ubuntu", "VERSION_CODENAME": "noble"}, "/ubuntu noble-security main"),
            ("apk", {"ID": "alpine", "VERSION_ID": "3.20.3"}, "/alpine/v3.20/main"),
        ):
            found = setting(client, URL)
            assert found.on is not None
            self.assertIn(line, found.on(machine).text)

    def test_pip_keeps_the_rest(self) -> None:
        """Other keys and sections of pip.conf stay."""
        before = "[global]\ntimeout = 9\nindex-url = http://old\n[install]\npre = true\n"
        parser = ConfigParser()
        parser.read_string(setting("pip", URL).merges(before))
        self.assertEqual(parser["global"]["index-url"], f"{URL}/simple")
        self.assertEqual((parser["global"]["timeout"], parser["install"]["pre"]), ("9", "true"))

    def test_verified(self) -> None:
        """A mirror with TLS is not exempted from being verified."""
        for client, word in (("pip", "trusted-host"), ("docker", "insecure")):
            for url, exempted in (("http://mirror:1", True), ("https://mirror:1", False)):
                found = setting(client, url)
                for text in (found.text, found.merges(None)):
                    self.assertIs(word in text, exempted, (client, url))

    def test_docker_keeps_the_rest(self) -> None:
        """Other keys of daemon.json stay; what is no object is refused."""
        merged = json.loads(setting("docker", URL).merges('{"debug": true}'))
        self.assertEqual((merged["debug"], merged["registry-mirrors"]), (True, [URL]))
        self.assertRaises(ValueError, setting("docker", URL).merges, "[]")
        self.assertRaises(ValueError, setting("docker", URL).merges, "{")

    def test_lines(self) -> None:
        """An old registry gives way, tokens stay."""
        merged = setting("npm", URL).merges("registry=http://old/\n//h/:_authToken=x\n")
        self.assertEqual(merged, f"registry={URL}/registry/npm/\n//h/:_authToken=x\n")

    def test_refused(self) -> None:
        """Files that can't be merged safely are left alone."""
        for client in ("maven", "conda", "cargo", "uv"):
            self.assertRaises(ValueError, setting(client, URL).merges, "something")

    def test_toml(self) -> None:
        """What is written as TOML is TOML."""
        for client in ("uv", "cargo", "containerd", "podman", "buildkit", "pdm", "bun", "pixi"):
            self.assertTrue(tomllib.loads(setting(client, URL).text))
