"""What a client may say of itself and of the media types that it wants, where answers are shared.

Some servers choose an answer by ``User-Agent`` or ``Accept`` and don't say so by ``Vary``.  What
one client is given then is everybody's, so that all clients of a kind have to ask alike: by names
and types that package worlds need, and by no others.
"""

from __future__ import annotations

import re

#: What all other clients are to an upstream: some servers refuse a request without any.
NOBODY = "aimirror"

#: Programs that servers know, by their names in lower case.
AGENTS = {
    name.lower(): name
    for name in (
        *("pip", "uv", "poetry", "pdm", "setuptools", "python-requests", "Python-urllib", "twine"),
        *("docker", "containerd", "cri-o", "skopeo", "Buildah", "podman", "buildkit", "oras"),
        *("Helm", "ollama", "hf_hub", "datasets", "transformers", "ModelScope", "kaggle-api"),
        *(
            "conda",
            "mamba",
            "libmamba",
            "micromamba",
            "pixi",
            "rattler",
            "R",
            "renv",
            "pak",
            "curl",
        ),
        *("npm", "pnpm", "yarn", "Bun", "Deno", "node", "cargo", "rustup", "Go-http-client", "git"),
        *(
            "git-lfs",
            "Apache-Maven",
            "Gradle",
            "sbt",
            "Coursier",
            "Apache-HttpClient",
            "Java",
            "Wget",
        ),
        *("APT-HTTP", "libdnf", "urlgrabber", "ZYpp", "apk-tools", "pacman", "Homebrew", "aria2"),
        *(
            "NuGet",
            "RubyGems",
            "bundler",
            "Composer",
            "Terraform",
            "OpenTofu",
            "Julia",
            "pub",
            "Dart",
        ),
        *("Conan", "vcpkg", "SwiftPackageManager", "CocoaPods", "opam", "cabal-install", "Nix"),
        *("hex", "mix", "rebar", "LuaRocks", "cpanminus", "Playwright", "ansible-galaxy", "spack"),
    )
}
#: Media types between which package registries choose.
TYPES = frozenset(
    {
        *("*/*", "*", "text/*", "text/html", "text/plain", "text/xml", "application/*"),
        *("application/json", "application/xml", "application/xhtml+xml", "image/*"),
        *("application/octet-stream", "application/gzip", "application/zip", "application/x-tar"),
        *("application/vnd.npm.install-v1+json", "application/vnd.git-lfs+json"),
        *(
            f"application/vnd.pypi.simple.{v}+{f}"
            for v in ("v1", "latest")
            for f in ("json", "html")
        ),
        *(f"application/vnd.docker.distribution.manifest.{v}" for v in ("v1+json", "v1+prettyjws")),
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.container.image.v1+json",
        *(f"application/vnd.oci.image.{kind}.v1+json" for kind in ("manifest", "index", "config")),
        *(f"application/vnd.oci.image.layer.v1.tar{c}" for c in ("", "+gzip", "+zstd")),
        "application/vnd.oci.artifact.manifest.v1+json",
        *("application/vnd.github+json", "application/vnd.github.v3+json"),
        *("application/vnd.github.raw+json", "application/vnd.github.v3.raw"),
        *("application/vnd.pub.v2+json", "application/vnd.hex+erlang", "application/vnd.hex+json"),
        *(f"application/vnd.swift.registry.v1+{f}" for f in ("json", "zip", "swift")),
        *("application/vnd.conan+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip"),
    }
)
#: Characters and members of a value that are looked at.
_LONGEST = 2048
_MOST = 32
_NAMED = re.compile(r"([A-Za-z][A-Za-z_-]*)(?:/v?([0-9]{1,4}(?:\.[0-9]{1,6}){0,3}))?")
_WEIGHT = re.compile(r"q=(?:0(?:\.[0-9]{1,3})?|1(?:\.0{1,3})?|\.[0-9]{1,3})")


def agent(value: str) -> str:
    """The first program in a User-Agent that servers know, with the number of its version."""
    for named in list(_NAMED.finditer(value[:_LONGEST]))[:_MOST]:
        name = AGENTS.get(named[1].lower())
        if name is not None:
            return f"{name}/{named[2]}" if named[2] else name
    return NOBODY


def types(value: str) -> str:
    """The known media types of an Accept, in their order, with their weights."""
    kept = []
    for member in value[:_LONGEST].split(",")[:_MOST]:
        media, *parameters = (part.strip().lower() for part in member.split(";"))
        if media in TYPES:
            weights = [each for each in parameters if _WEIGHT.fullmatch(each.replace(" ", ""))]
            kept.append(";".join([media, *weights[:1]]))
    return ", ".join(dict.fromkeys(kept)) or "*/*"
