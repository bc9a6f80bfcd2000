"""What ``aimirror doctor`` finds, and ``aimirror setup CLIENT --check``."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.commands import findings, usage
from aimirror.commands.doctor import of_clock, of_room, of_upstreams
from aimirror.commands.reaching import Reached
from aimirror.ecosystems.registry import setting
from aimirror.settings.setting import Address

MIRROR = Address("http://mirror:8081")


class FindingTests(SynchronousTestCase):
    def test_upstreams(self) -> None:
        """Faults of one kind are one line, with a remedy; when none answers it fails."""
        dead = [Reached(f"https://h{n}", "", f"name not resolved: h{n}") for n in range(7)]
        found = list(of_upstreams([*dead, Reached("https://good", "")]))
        self.assertEqual([each.mark for each in found], ["warn", "ok"])
        self.assertEqual(found[0].text, "h0, h1, h2, h3, h4 and 2 more: name not resolved")
        self.assertIn("server.upstream_proxy", found[0].remedy)
        self.assertEqual(found[1].text, "1 of 8 upstreams answers, directly")
        self.assertEqual(list(of_upstreams(dead))[-1].mark, "FAIL")
        by_proxy = list(of_upstreams([Reached("https://h", "proxy:3128", "refused")]))
        self.assertIn("is the proxy proxy:3128 right", by_proxy[0].remedy)

    def test_clock(self) -> None:
        """One wrong upstream does not matter; a wrong clock of ours does, in its direction."""
        self.assertEqual(of_clock([1.0, -2.0, 9000.0]).mark, "ok")
        wrong = of_clock([300.0, 301.0, 299.0])
        self.assertEqual((wrong.mark, wrong.text), ("FAIL", "5 min behind of the upstreams'"))
        self.assertIn("ahead", of_clock([-300.0]).text)
        self.assertEqual(of_clock([]).mark, "warn")

    def test_room(self) -> None:
        """The disk of a folder that is not there yet is that of the nearest one that is."""
        folder = Path(self.mktemp()) / "a" / "b"
        self.assertIn("which may have 1.0 GB", of_room(folder, 10**9, None).text)
        room = shutil.disk_usage("/").free * 1000
        for limit, used, mark in ((10**6, 0, "ok"), (room, None, "ok"), (room, 0, "warn")):
            self.assertEqual(of_room(folder, limit, used).mark, mark)
        self.assertEqual(of_room(folder, room, room).mark, "ok")


class UsageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        (self.home / "bin").mkdir(parents=True)
        self.patch(os, "environ", {"HOME": str(self.home), "PATH": f"{self.home}/bin"})

    def program(self, name: str, said: str, status: int = 0) -> None:
        file = self.home / "bin" / name
        file.write_text(f"#!/bin/sh\n/bin/cat <<'END'\n{said}\nEND\nexit {status}\n")
        file.chmod(0o755)

    def use(self, client: str) -> usage.Usage:
        return usage.usage(client, setting(client, MIRROR))

    def test_asked(self) -> None:
        """A client is asked itself, for its own file is not all that it reads."""
        (self.home / ".npmrc").write_text("registry=http://mirror:8081/registry/npm/\n")
        self.program("npm", "https://registry.npmjs.org/")
        use = self.use("npm")
        self.assertEqual((use.installed, use.leads_to(MIRROR)), (True, False))
        self.assertEqual((use.elsewhere, use.by), ("https://registry.npmjs.org/", "npm config get"))
        self.program("npm", "http://mirror:8081/registry/npm/")
        self.assertTrue(self.use("npm").leads_to(MIRROR))

    def test_other_hosts(self) -> None:
        """Another port, or a host whose name ends alike, is not the mirror."""
        for said in ("http://mirror:80811/", "http://my-mirror:8081/", "http://a.mirror:8081/"):
            self.program("npm", said)
            self.assertFalse(self.use("npm").leads_to(MIRROR), said)

    def test_files_and_variables(self) -> None:
        """What can't be asked is read; a variable comes before files; passwords stay hidden."""
        use = self.use("uv")
        self.assertEqual((use.installed, use.elsewhere), (False, "its own default"))
        file = self.home / ".config" / "uv" / "uv.toml"
        file.parent.mkdir(parents=True)
        file.write_text(setting("uv", MIRROR).text)
        self.assertTrue(self.use("uv").leads_to(MIRROR))
        os.environ["UV_DEFAULT_INDEX"] = "https://u:secret@nexus/simple"
        use = self.use("uv")
        self.assertEqual((use.leads_to(MIRROR), use.by), (False, "$UV_DEFAULT_INDEX"))
        self.assertEqual(use.elsewhere, "https://***@nexus/simple")

    def test_failing_program(self) -> None:
        """A client that fails when it is asked leaves its files to tell."""
        self.program("npm", "http://mirror:8081/", status=1)
        self.assertFalse(self.use("npm").leads_to(MIRROR))

    def test_checked(self) -> None:
        """Right is only a client that leads to the mirror, when the mirror answers it."""
        for problem, said, status in (
            ("", "http://mirror:8081/registry/npm/", 0),
            ("refused", "http://mirror:8081/registry/npm/", 1),
            ("", "https://registry.npmjs.org/", 1),
        ):
            self.program("npm", said)
            self.patch(findings, "probed", lambda wanted, problem=problem: problem)
            with contextlib.redirect_stdout(io.StringIO()):
                self.assertEqual(findings.checked("npm", MIRROR), status)
