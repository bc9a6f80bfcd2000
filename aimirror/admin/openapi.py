"""The API as an OpenAPI document, served at ``/aimirror/api/openapi.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from aimirror import __version__

_TEXT: Mapping[str, Any] = {"type": "string"}
_TEXTS: Mapping[str, Any] = {"type": "array", "items": _TEXT}
_FLAG: Mapping[str, Any] = {"type": "boolean"}
_NUMBER: Mapping[str, Any] = {"type": "number", "minimum": 0}
_OBJECT = {"type": "object"}

#: Which entries are meant.
_SELECTION: Mapping[str, Mapping[str, Any]] = {
    "url": _TEXT,
    "name": _TEXT,
    "prefix": _TEXT,
    "rule": _TEXT,
    "older_than": _NUMBER,
    "everything": _FLAG,
}
_PAGE = {"count": _NUMBER, "offset": _NUMBER}
_SINCE = {"after": _NUMBER, "count": _NUMBER}
_PREFETCH: Mapping[str, Mapping[str, Any]] = {
    **dict.fromkeys(("requirements", "lock", "lock_name", "uv_lock", "package_lock"), _TEXT),
    **dict.fromkeys(("huggingface", "image", "python", "platform", "index"), _TEXT),
    **dict.fromkeys(("urls", "include", "exclude"), _TEXTS),
    "dependencies": _FLAG,
}


@frozen
class Call:
    """One call: what it is for, the words that it takes, and the members of its answer."""

    method: str
    name: str
    summary: str
    words: Mapping[str, Mapping[str, Any]] = {}
    members: tuple[str, ...] = ()


CALLS = (
    Call("GET", "overview", "All that the dashboard shows"),
    Call("GET", "events", "The same as server-sent events: all once, then now each second"),
    Call("GET", "usage", "Answers, hits and bytes by client and by rule", {"count": _NUMBER},
         ("clients", "rules")),
    Call("GET", "errors", "The last errors with their reasons, equal ones as one", {},
         ("errors",)),
    Call("GET", "answers", "The last answers; after: the number that the last call told",
         _SINCE, ("number", "answers")),
    Call("GET", "log", "The last lines of the log; after: the number that the last call told",
         _SINCE, ("number", "lines")),
    Call("GET", "packages", "What is stored, by package",
         {"contains": _TEXT, "world": _TEXT, "order": _TEXT, **_PAGE},
         ("packages", "total", "worlds", "nameless", "partial")),
    Call("GET", "package", "The versions of a package, with their files",
         {"world": _TEXT, "package": _TEXT}, ("world", "name", "versions", "total")),
    Call("GET", "entries", "Stored answers",
         {"prefix": _TEXT, "contains": _TEXT, "rule": _TEXT, "pinned": _FLAG,
          "older_than": _NUMBER, "order": _TEXT, **_PAGE}, ("entries",)),
    Call("GET", "entry", "Stored answers of one URL, with digest, age and fields",
         {"url": _TEXT, "name": _TEXT}, ("entries",)),
    Call("POST", "purge", "Remove stored answers", {**_SELECTION, "dry_run": _FLAG},
         ("purged", "bytes", "dry_run")),
    Call("POST", "pin", "Keep stored answers from being evicted, or no more",
         {**_SELECTION, "pinned": _FLAG}, ("matched", "changed")),
    Call("POST", "verify", "Start to hash every stored file again", {}, ("id", "state")),
    Call("POST", "prefetch", "Start to fetch ahead", _PREFETCH, ("id", "state")),
    Call("GET", "jobs", "Jobs, or the one with an id", {"id": _NUMBER}, ("jobs",)),
    Call("POST", "cancel", "End a job", {"id": _NUMBER}, ("id", "state")),
    Call("GET", "route", "Which rule takes a URL or path, and whom it asks", {"url": _TEXT},
         ("rule",)),
    Call("GET", "clients", "How to set up the clients that the rules serve", {"url": _TEXT},
         ("clients",)),
    Call("POST", "check", "Whether the configuration file is right", {}, ("ok", "message")),
    Call("POST", "reload", "Use the configuration file as it is now", {},
         ("ok", "needs_restart")),
    Call("GET", "drain", "Whether balancers are to leave this node out, and what it still answers",
         {}, ("draining", "answering")),
    Call("POST", "drain", "Have balancers leave this node out, or no more", {"on": _FLAG},
         ("draining", "answering")),
    Call("GET", "openapi.json", "This description"),
)  # fmt: skip


def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    paths: dict[str, dict[str, Any]] = {}
    for call in CALLS:
        paths.setdefault(f"/{call.name}", {})[call.method.lower()] = _operation(call)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "aimirror administration",
            "version": __version__,
            "description": "See docs/operations.md for who may use it.",
        },
        "servers": [{"url": "/aimirror/api"}],
        "security": [{"bearer": []}, {"field": []}, {}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "field": {"type": "apiKey", "in": "header", "name": "X-Aimirror-Token"},
            },
            "schemas": {
                "Error": {
                    "type": "object",
                    "required": ["error", "reason"],
                    "properties": dict.fromkeys(("error", "reason", "detail"), _TEXT),
                }
            },
        },
    }


def _operation(call: Call) -> dict[str, Any]:
    content = "text/event-stream" if call.name == "events" else "application/json"
    schema = {**_OBJECT, "required": list(call.members)} if call.members else _OBJECT
    operation: dict[str, Any] = {
        "operationId": f"{call.method.lower()}_{call.name.partition('.')[0]}",
        "summary": call.summary,
        "responses": {
            "200": {"description": "What was asked for", "content": {content: {"schema": schema}}},
            "default": {
                "description": "Why not",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        },
    }
    if call.method == "POST":
        body = {"schema": {**_OBJECT, "properties": dict(call.words)}}
        operation["requestBody"] = {"content": {"application/json": body}}
    elif call.words:
        operation["parameters"] = [
            {"name": name, "in": "query", "schema": dict(schema)}
            for name, schema in call.words.items()
        ]
    return operation
