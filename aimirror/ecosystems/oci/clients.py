"""What docker, containerd and podman are told to use a mirror."""

from __future__ import annotations

import json
from typing import Any

from aimirror.ecosystems.clients import Address, Setting
from aimirror.ecosystems.formats import json_file, toml


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
        "/etc/containerd/certs.d/_default/hosts.toml",
        f'[host."{mirror.url}"]\n  capabilities = ["pull", "resolve"]\n',
        toml.edited(change),
        "config_path of the CRI plugin must be /etc/containerd/certs.d",
        probe=f"{mirror.url}/v2/",
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


def _hub(registry: Any) -> bool:
    return "docker.io" in (registry.get("prefix"), registry.get("location"))
