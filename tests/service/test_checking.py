"""Files that a configuration names."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.config import ConfigError, load
from aimirror.forward import authority
from aimirror.service.checking import check_files

RULES = "rules: [{name: r, upstream: 'http://h'}]\n"


class CheckingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def fault(self, text: str) -> str:
        """What is wrong with what a configuration names, "" for nothing."""
        file = self.folder / "f.yaml"
        file.write_text(RULES + text)
        try:
            check_files(load(file, {"HOME": str(self.folder)}))
        except ConfigError as error:
            return str(error).removeprefix(f"{file}: ")
        return ""

    def test_missing(self) -> None:
        """What is not there is told with its key, before anything starts."""
        none = self.folder / "none"
        for text, key, file in (
            ("server: {tls: {cert: none, key: none}}", "server.tls", none),
            ("server: {users: none}", "server.users", none),
            ("forward: {users: none}", "forward.users", none),
            (
                "forward: {intercept: true, ca_dir: none}",
                "forward.ca_dir",
                none / "aimirror-ca.key",
            ),
        ):
            fault = self.fault(text)
            self.assertTrue(fault.startswith(f"{key}: {file}"), fault)
            self.assertEqual(fault.count("\n"), 0)

    def test_wrong(self) -> None:
        """What is there and can't be used, too; what is wrong in it is not quoted."""
        (self.folder / "users").write_text("bob:geheim\n")
        fault = self.fault("server: {users: users}")
        self.assertIn("server.users: ", fault)
        self.assertNotIn("geheim", fault)

    def test_handlers(self) -> None:
        """A handler that is not there, or can't be loaded, is told as well."""
        rule = "rules: [{name: r, upstream: 'http://h', handler: handlers.%s}]\n"
        (self.folder / "handlers").mkdir()
        (self.folder / "handlers" / "bad.py").write_text("1 / 0\n")
        file = self.folder / "f.yaml"
        for name, wanted in (("none", "is not there"), ("bad", "can't be loaded"), ("docker", "")):
            file.write_text(rule % name)
            try:
                check_files(load(file, {"HOME": str(self.folder)}))
            except ConfigError as error:
                self.assertTrue(wanted and wanted in str(error), error)
            else:
                self.assertEqual(wanted, "")

    def test_right(self) -> None:
        """What can be used is no fault, and what is not used is not looked at."""
        authority.store(authority.make(["h"], authority.now()), self.folder / "ca")
        self.assertEqual(self.fault("forward: {intercept: true, ca_dir: ca}"), "")
        self.assertEqual(self.fault("forward: {intercept: false, ca_dir: none}"), "")
        self.assertEqual(self.fault("forward: {enabled: false, intercept: true, ca_dir: none}"), "")
