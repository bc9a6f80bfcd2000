"""``aimirror setup CLIENT --write``: the client comes to the mirror by what it wrote alone."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from tests.clients.worlds import ROOT, WorldTests, find_client

POM = "org.apache.maven.plugins:maven-dependency-plugin:9.9:get"
MANIFEST = """[package]
name = "p"
version = "1.0.0"
edition = "2021"
[lib]
path = "l.rs"
[dependencies]
zz = "1"
"""


class SetupTests(WorldTests):
    def setUp(self) -> None:
        super().setUp()
        url = self.upstream.url
        presets = {"npm": "npm", "maven": "maven", "rubygems": "gem", "go": "go", "cran": "cran"}
        presets |= {name: name for name in ("composer", "nix", "conan", "jsr", "cpan", "hex")}
        rules: list[dict[str, Any]] = [
            {"preset": name, "upstream": f"{url}/{path}"} for name, path in presets.items()
        ]
        for name, path in (("cargo", "/crates"), ("git", "/github"), ("pypi", "/simple")):
            rule = {"name": name, "path_prefix": path, "strip_prefix": True}
            rules.append({**rule, "upstream": f"{url}/{name}"})
        self.start(*rules)
        self.upstream.put("/cargo/config.json", b'{"dl": "http://none"}', "application/json")

    def check(self, client: str, asked: str, *command: str, venv: str = "", **files: str) -> None:
        """Write the setting into a new home, run a command there, look what was asked for.

        Whatever it wants is not there, so most fail.
        """
        program = find_client(command[0], venv)
        home = self.fresh(f"home-{client}")
        own = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}
        for name, text in files.items():
            (home / name.replace("_", ".")).write_text(text)
        write = [sys.executable, "-m", "aimirror", "setup", client, "--url", self.mirror, "--write"]
        self.assertRuns(write, home, PYTHONPATH=str(ROOT), **own)
        if client == "maven":  # Java asks the system who it is for
            own["MAVEN_OPTS"] = f"-Duser.home={home}"
        if client == "cargo":
            own |= {"CARGO_HOME": str(home / ".cargo"), "CARGO_NET_RETRY": "0"}
            own["RUSTUP_HOME"] = os.environ.get("RUSTUP_HOME", str(Path("~/.rustup").expanduser()))
        self.upstream.requests.clear()
        said = self.run_client([program, *command[1:]], home, **own).stdout
        targets = [each.target for each in self.upstream.requests]
        found = [target for target in targets if target.startswith(asked)]
        self.assertNotEqual(found, [], f"{client}: {targets} {said[-1500:]}")

    def test_npm(self) -> None:
        """npm."""
        self.check("npm", "/npm/zz", "npm", "view", "zz", "--fetch-retries=0")

    def test_pnpm(self) -> None:
        """pnpm."""
        self.check("pnpm", "/npm/zz", "pnpm", "view", "zz", venv="js")

    def test_yarn(self) -> None:
        """yarn 1."""
        self.check("yarn", "/npm/zz", "yarn", "info", "zz", "--non-interactive", venv="js")

    def test_yarn_berry(self) -> None:
        """yarn 4, where it has a file of settings."""
        settings = "enableTelemetry: false\n"
        command = ("yarn", "npm", "info", "zz")
        files = {"_yarnrc_yml": settings, "package_json": "{}", "yarn_lock": ""}
        self.check("yarn", "/npm/zz", *command, venv="berry", **files)

    def test_bun(self) -> None:
        """bun."""
        self.check("bun", "/npm/zz", "bun", "add", "zz", venv="bun", package_json="{}")

    def test_gem(self) -> None:
        """gem."""
        self.check("rubygems", "/gem/", "gem", "fetch", "zz")

    def test_bundler(self) -> None:
        """Bundler, with a Gemfile that names rubygems.org."""
        gemfile = 'source "https://rubygems.org"\ngem "zz"\n'
        self.check("bundler", "/gem/", "bundle", "lock", Gemfile=gemfile)

    def test_maven(self) -> None:
        """Maven."""
        self.check("maven", "/maven/org/apache/maven/plugins/", "mvn", "-B", POM)

    def test_r(self) -> None:
        """R."""
        self.check("r", "/cran/src/contrib/PACKAGES", "Rscript", "-e", "available.packages()")

    def test_go(self) -> None:
        """go, in a login shell."""
        find_client("go")
        script = ". ~/.profile && GOFLAGS=-mod=mod go list -m example.org/zz@latest"
        self.check("go", "/go/example.org/zz/@", "sh", "-c", script)

    def test_cargo(self) -> None:
        """cargo."""
        self.check("cargo", "/cargo/2/zz", "cargo", "fetch", Cargo_toml=MANIFEST, l_rs="")

    def test_git(self) -> None:
        """git, for addresses at github.com."""
        url = "https://github.com/o/r"
        self.check("git", "/git/o/r/info/refs", "git", "ls-remote", url)

    def test_poetry(self) -> None:
        """poetry, in the folder of a project."""
        project = '[project]\nname = "p"\nversion = "1"\ndependencies = ["zz"]\n'
        command = ("poetry", "lock", "--no-interaction")
        self.check("poetry", "/pypi/zz/", *command, venv="poetry", pyproject_toml=project)

    def test_pdm(self) -> None:
        """pdm."""
        project = '[project]\nname = "p"\nversion = "1"\ndependencies = ["zz"]\n'
        project += 'requires-python = ">=3.8"\n'
        self.check("pdm", "/pypi/zz/", "pdm", "lock", venv="pdm", pyproject_toml=project)

    def test_composer(self) -> None:
        """composer."""
        project = '{"require": {"v/zz": "1"}}'
        command = ("composer", "update", "-n")
        self.check("composer", "/composer/packages.json", *command, composer_json=project)

    def test_nix(self) -> None:
        """nix."""
        store = f"/nix/store/{'0' * 32}-zz"
        build = ("build", "--no-link", "--store", "./root", store)
        options = ("--extra-experimental-features", "nix-command")
        self.check("nix", "/nix/nix-cache-info", "nix", *options, *build)

    def test_conan(self) -> None:
        """conan."""
        command = ("conan", "download", "zz/1.0", "-r", "conancenter")
        self.check("conan", "/conan/v1/ping", *command, venv="conan")

    def test_deno(self) -> None:
        """deno, in a login shell."""
        deno = find_client("deno", "js")
        script = f". ~/.profile && {deno} cache main.ts"
        self.check(
            "deno", "/jsr/@s/zz/meta.json", "sh", "-c", script, main_ts='import "jsr:@s/zz";'
        )

    def test_cpanm(self) -> None:
        """cpanm, in a login shell."""
        find_client("cpanm")
        self.check("cpanm", "/cpan/modules/02packages", "sh", "-c", ". ~/.profile && cpanm Zz")

    def test_rebar3(self) -> None:
        """rebar3, in a login shell."""
        find_client("rebar3")
        command = ("sh", "-c", ". ~/.profile && rebar3 get-deps")
        self.check("hex", "/hex/packages/zz", *command, rebar_config='{deps,[{zz,"1.0.0"}]}.')
