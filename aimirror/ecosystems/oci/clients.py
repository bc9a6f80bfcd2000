"""What docker, containerd, podman, k3s and BuildKit are told to use a mirror."""

from __future__ import annotations

import json
from typing import Any

from aimirror.registries.registry import DEFAULTS
from aimirror.settings import json_file, toml, yaml
from aimirror.settings.setting import Address, Setting


def docker(mirror: Address) -> Setting:
    """The daemon's mirrors of Docker Hub."""
    values = {"registry-mirrors": [mirror.url]}
    if mirror.plain:
        values["insecure-registries"] = [mirror.host]
    return Setting(
        "/etc/docker/daemon.json",
        json.dumps(values, indent=2) + "\n",
        json_file.lists(values),
        "then: systemctl restart docker",
        probe=f"{mirror.url}/v2/",
        # Docker Desktop's, and that of a daemon without root
        instead=("~/.docker/daemon.json", "~/.config/docker/daemon.json"),
    )


#: Where containerd looks for what to ask in place of each registry.
_CERTS = "/etc/containerd/certs.d"
#: containerd 2 has the pulling of images in a plugin of its own: version 3 of its configuration.
_SPLIT = 3


def _reads_certs(document: Any) -> None:
    """Have a kubelet's pulls heed that folder; older ways beside it would be refused."""
    version = document.get("version", 1)
    if version == 1:
        return
    name = "io.containerd.cri.v1.images" if version >= _SPLIT else "io.containerd.grpc.v1.cri"
    registry = toml.table(toml.table(toml.table(document, "plugins"), name), "registry")
    if not registry.get("config_path") and "mirrors" not in registry:
        registry["config_path"] = _CERTS


_CONFIG = Setting("/etc/containerd/config.toml", "", toml.edited(_reads_certs))


def containerd(mirror: Address) -> Setting:
    """The mirror of every registry that has no file of its own."""

    def change(document: Any) -> None:
        hosts = toml.table(document, "host")
        if mirror.url not in hosts:
            others = [(name, hosts.pop(name)) for name in list(hosts)]
            hosts[mirror.url] = toml.new_table(capabilities=["pull", "resolve"])
            for name, other in others:  # they are asked in this order
                hosts[name] = other

    return Setting(
        f"{_CERTS}/_default/hosts.toml",
        f'[host."{mirror.url}"]\n  capabilities = ["pull", "resolve"]\n',
        toml.edited(change),
        f"config_path of the CRI plugin must be {_CERTS}; then: systemctl restart containerd",
        probe=f"{mirror.url}/v2/",
        also=(("/etc/containerd/config.toml", _CONFIG),),
    )


def podman(mirror: Address) -> Setting:
    """The mirror of Docker Hub for podman, skopeo, buildah and CRI-O."""
    insecure = {"insecure": True} if mirror.plain else {}

    def change(document: Any) -> None:
        registries = toml.tables(document, "registry")
        if not any(_hub(each) for each in registries):
            registries.append(toml.new_table(prefix="docker.io", location="docker.io"))
        mirrors = toml.tables(next(each for each in registries if _hub(each)), "mirror")
        if not any(each.get("location") == mirror.host for each in mirrors):
            mirrors.insert(0, toml.new_table(location=mirror.host, **insecure))

    text = (
        '[[registry]]\nprefix = "docker.io"\nlocation = "docker.io"\n\n'
        f'[[registry.mirror]]\nlocation = "{mirror.host}"\n'
    )
    return Setting(
        "/etc/containers/registries.conf",
        text + ("insecure = true\n" if insecure else ""),
        toml.edited(change),
        probe=f"{mirror.url}/v2/",
        instead=("~/.config/containers/registries.conf",),
    )


def k3s(mirror: Address) -> Setting:
    """The mirror of every registry, for k3s and RKE2, which make containerd's files of it."""

    def change(document: Any) -> None:
        mirrors = yaml.mapping(document, "mirrors")
        for name in ("docker.io", "*"):
            endpoints = yaml.listed(yaml.mapping(mirrors, name), "endpoint")
            if mirror.url not in endpoints:
                endpoints.insert(0, mirror.url)

    text = "".join(
        f'  "{name}":\n    endpoint:\n      - "{mirror.url}"\n' for name in ("docker.io", "*")
    )
    return Setting(
        "/etc/rancher/k3s/registries.yaml",
        f"mirrors:\n{text}",
        yaml.edited(change),
        "then: systemctl restart k3s (or k3s-agent)",
        probe=f"{mirror.url}/v2/",
        instead=("/etc/rancher/rke2/registries.yaml",),
    )


def buildkit(mirror: Address) -> Setting:
    """The mirror of the well-known registries, for buildkitd and builders of docker buildx."""

    def change(document: Any) -> None:
        registries = toml.table(document, "registry")
        for each in DEFAULTS:
            registry = toml.table(registries, each.name)
            mirrors = list(registry.get("mirrors", []))
            if mirror.host not in mirrors:
                registry["mirrors"] = [mirror.host, *mirrors]
        if mirror.plain:
            toml.table(registries, mirror.host)["http"] = True

    merges = toml.edited(change)
    return Setting(
        "/etc/buildkit/buildkitd.toml",
        merges(None),
        merges,
        "docker buildx create --buildkitd-config /etc/buildkit/buildkitd.toml",
        probe=f"{mirror.url}/v2/",
        instead=("~/.config/buildkit/buildkitd.toml",),
    )


def _hub(registry: Any) -> bool:
    return "docker.io" in (registry.get("prefix"), registry.get("location"))
