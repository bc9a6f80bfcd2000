"""Whether the clients of this machine really use a mirror: asked of themselves, where that goes."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping

from attrs import frozen

from aimirror.commands import editing
from aimirror.commands.common import Complaint
from aimirror.settings.setting import Address, Setting

#: Seconds for a client to tell its settings, and for the mirror to answer.
CLIENT_SECONDS = 20.0
PROBE_SECONDS = 30.0
#: Bytes of what a client tells.
_MOST_TOLD = 1 << 20

#: How each client tells what it uses, its own files, the environment and defaults together.
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "pip": ("pip", "config", "list"),
    "docker": ("docker", "info", "--format", "{{json .RegistryConfig}}"),
    "npm": ("npm", "config", "get", "registry"),
    "pnpm": ("pnpm", "config", "get", "registry"),
    "yarn": ("yarn", "config", "get", "registry"),
    "conda": ("conda", "config", "--show", "default_channels", "custom_channels", "channels"),
    "r": ("Rscript", "-e", "cat(getOption('repos'))"),
    "apt": ("apt-get", "indextargets", "--format", "$(URI)"),
    "go": ("go", "env", "GOPROXY"),
    "rubygems": ("gem", "sources", "--list"),
    "bundler": ("bundle", "config", "get", "mirror.https://rubygems.org/"),
    "git": ("git", "config", "--get-regexp", r"^url\..*\.insteadof$"),
    "dnf": ("dnf", "repolist", "-v"),
}
#: Programs of clients that can't be asked; their files are read.
PROGRAMS: Mapping[str, str] = {
    "uv": "uv",
    "containerd": "containerd",
    "podman": "podman",
    "k3s": "k3s",
    "buildkit": "buildkitd",
    "huggingface": "hf",
    "maven": "mvn",
    "cargo": "cargo",
    "apk": "apk",
    "homebrew": "brew",
}
#: Variables that a client reads before its files.
VARIABLES: Mapping[str, tuple[str, ...]] = {
    "uv": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "huggingface": ("HF_ENDPOINT",),
    "homebrew": ("HOMEBREW_API_DOMAIN",),
}


@frozen
class Usage:
    """What a client says that it uses; ``by`` is where it says so."""

    installed: bool
    settings: str
    by: str

    def leads_to(self, mirror: Address) -> bool:
        """Whether the mirror is among it."""
        return (
            re.search(rf"(?<![\w.-]){re.escape(mirror.host)}(?![\w.:-])", self.settings) is not None
        )

    @property
    def elsewhere(self) -> str:
        """The first URL that it names."""
        match = re.search(r"https?://[^\s'\",\]]+", self.settings)
        return re.sub(r"//[^/@]*@", "//***@", match[0]) if match else "its own default"


def usage(client: str, setting: Setting) -> Usage:
    """Ask a client of this machine, or read what it reads."""
    program = COMMANDS[client][0] if client in COMMANDS else PROGRAMS.get(client, client)
    installed = shutil.which(program) is not None
    for name in VARIABLES.get(client, ()):
        if os.environ.get(name):
            return Usage(installed, os.environ[name], f"${name}")
    if installed and client in COMMANDS:
        printed = _asked(COMMANDS[client])
        if printed is not None:
            return Usage(True, printed, " ".join(COMMANDS[client][:3]))
    try:
        files = list(editing.texts(setting))
    except Complaint as error:
        return Usage(installed, "", str(error))
    names = ", ".join(str(path) for path, _ in files) or setting.path
    return Usage(installed, "\n".join(text for _, text in files), names)


def probed(setting: Setting) -> str:
    """What is wrong with the mirror's answer to what the client would ask; "" for nothing."""
    asked = urllib.request.Request(setting.probe, headers={"User-Agent": "aimirror-setup"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(asked, timeout=PROBE_SECONDS) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        # a registry may ask for a login first, and is there all the same
        return "" if error.code == 401 else f"{setting.probe}: status {error.code}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLError):
            return f"{setting.probe}: its certificate is not trusted here ({reason.reason})"
        return f"{setting.probe}: {getattr(reason, 'strerror', None) or reason}"
    return ""


def _asked(command: tuple[str, ...]) -> str | None:
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=CLIENT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if ended.returncode:
        return None
    return ended.stdout[:_MOST_TOLD].decode("utf-8", "replace")
