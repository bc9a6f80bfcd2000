"""What docker and containerd are told to use a mirror."""

from __future__ import annotations

import json

from aimirror.ecosystems.clients import Setting, absent, host, json_object, plain


def docker(url: str) -> Setting:
    """The daemon's mirrors of Docker Hub."""
    values = {"registry-mirrors": [url]}
    if plain(url):
        values["insecure-registries"] = [host(url)]
    text = json.dumps(values, indent=2) + "\n"
    note = "then: systemctl restart docker"
    return Setting("/etc/docker/daemon.json", text, json_object(values), note)


def containerd(url: str) -> Setting:
    """The mirror of every registry that has no file of its own."""
    text = f'[host."{url}"]\n  capabilities = ["pull", "resolve"]\n'
    note = "config_path of the CRI plugin must be /etc/containerd/certs.d"
    return Setting("/etc/containerd/certs.d/_default/hosts.toml", text, absent(text), note)
