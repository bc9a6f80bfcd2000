"""Package index pages (PEP 503 and PEP 691) for a scripted origin."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from typing import Any

from attrs import frozen

from aimirror.testing.behaviour import Behaviour, Body, Resource

JSON_TYPE = "application/vnd.pypi.simple.v1+json"


@frozen
class Link:
    """A file on an index page; ``url`` may be on another host."""

    name: str
    url: str
    sha256: str


def index(path: str, project: str, links: Iterable[Link], **behaviour: Any) -> Resource:
    """The page of a project: JSON for clients that accept it, else HTML."""
    links = list(links)
    anchors = "".join(
        f'<a href="{html.escape(link.url)}#sha256={link.sha256}">{html.escape(link.name)}</a>\n'
        for link in links
    )
    page = f"<!DOCTYPE html>\n<html><body>\n{anchors}</body></html>\n"
    files = [
        {"filename": link.name, "url": link.url, "hashes": {"sha256": link.sha256}}
        for link in links
    ]
    answer = {"meta": {"api-version": "1.1"}, "name": project, "versions": [], "files": files}
    bodies = (Body(json.dumps(answer).encode(), JSON_TYPE), Body(page.encode(), "text/html"))
    return Resource(path=path, versions=(bodies,), behaviour=Behaviour(**behaviour))
