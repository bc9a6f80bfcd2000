"""The command line as a whole."""

from __future__ import annotations

from aimirror.commands import shipped
from tests.commands.support import LineTests


class CommandLineTests(LineTests):
    def test_config_anywhere(self) -> None:
        """The configuration may be named before a command or behind it; a file as such, too."""
        config = ("--config", str(self.file))
        for words in (("check", *config), (*config, "check"), ("check", str(self.file))):
            status, said = self.run_line(*words)
            self.assertEqual(
                (status, said.partition(", cache")[0]), (0, f"{self.file}: right; 1 rules")
            )
        for words in (("setup", "npm", *config), (*config, "setup", "npm")):
            self.assertIn("http://localhost:1234/", self.run_line(*words)[1])

    def test_warned(self) -> None:
        """``check`` warns of what is hardly meant, on a line of its own, with status 0."""
        self.file.write_text(
            "rules: [{name: a, upstream: 'http://h'}, {name: b, upstream: 'http://h'}]"
        )
        status, said = self.run_line("check", str(self.file))
        self.assertEqual((status, said.count("warning: ")), (0, 1))
        self.assertIn("warning: rule 'b' can take no path", said)

    def test_ignored(self) -> None:
        """``check`` refuses keys that change nothing, with status 1."""
        self.file.write_text("rules: [{preset: docker, public: true}]")
        status, said = self.run_line("check", str(self.file))
        self.assertEqual(status, 1)
        self.assertIn(f"{self.file}: rules[0].public: of no use with ecosystem: oci", said)
        self.assertNotIn("right", said)

    def test_presets(self) -> None:
        """``check --presets`` lists them with what they serve."""
        said = self.run_line("check", "--presets")[1]
        for line in ("npm          /registry/npm from registry.npmjs.org", "torch "):
            self.assertIn(f"\n{line}", said)

    def test_did_you_mean(self) -> None:
        """A word that is not known is told with the likeliest one, whatever kind it is."""
        for words, meant in (
            (("statsu",), "status"),
            (("setup", "hugingface"), "huggingface"),
            (("--prot=1",), "--port"),
            (("purge", "--olderthan=1d"), "--older-than"),
            (("ca", "inti"), "init"),
        ):
            status, said = self.run_line(*words)
            self.assertEqual((status, f"did you mean {meant}?" in said), (2, True), said)

    def test_interrupted(self) -> None:
        """Ctrl-c ends any command with the status that shells know it by, and no traceback."""

        def interrupted(given: object) -> int:
            raise KeyboardInterrupt

        self.patch(shipped, "show_config", interrupted)
        status, said = self.run_line("config")
        self.assertEqual((status, said), (130, "\n"))

    def test_unknown(self) -> None:
        """A command that there is not is told with those that there are."""
        status, said = self.run_line("nosuch")
        self.assertEqual(status, 2)
        self.assertIn("argument COMMAND: invalid choice: 'nosuch'", said)
        self.assertIn("prefetch", said)
