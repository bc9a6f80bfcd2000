"""The administration's pages and their files, which hold nothing secret, for anyone."""

from __future__ import annotations

from importlib import resources
from string import Template

from attrs import frozen

from aimirror import __version__
from aimirror.http.headers import Headers
from aimirror.server.answers import Answer
from aimirror.server.errors import error_answer

#: Where all of this lies.
PLACE = "/aimirror"
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
}
#: Nothing from elsewhere, nothing inline, in nobody's frame.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@frozen
class Section:
    """A page: its name in the URL, its title, and the page of the menu that it is below."""

    name: str
    title: str
    of: str = ""


SECTIONS = (
    Section("overview", "Overview"),
    Section("downloads", "Downloads"),
    Section("cache", "Cache"),
    Section("package", "Package", "cache"),
    Section("files", "Stored files", "cache"),
    Section("usage", "Usage"),
    Section("upstreams", "Upstreams"),
    Section("rules", "Rules"),
    Section("jobs", "Jobs"),
    Section("errors", "Errors"),
    Section("log", "Log"),
)
_FOLDER = resources.files("aimirror.admin") / "pages"
_SHELL = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title - aimirror</title>
<link rel="icon" href="${up}icon.svg">
<link rel="stylesheet" href="${up}style.css">
$script
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
<header>
<p class="brand"><a href="$home">aimirror</a>$version</p>
$menu
</header>
<main id="main" tabindex="-1">
<h1>$title</h1>
$content
</main>
</body>
</html>
""")
_ADMIN = Template("""<form id="login" hidden>
  <h2>Token</h2>
  <p id="login-why"></p>
  <input type="text" name="username" value="administrator" autocomplete="username" hidden>
  <label for="token">Administrators' token</label>
  <input id="token" type="password" autocomplete="current-password" required minlength="16">
  <button>Open</button>
</form>
<p id="closed" hidden></p>
<div id="all" hidden>
$content</div>
<dialog id="sure" aria-labelledby="sure-text">
  <p id="sure-text"></p>
  <form method="dialog" class="row"><button value="no" autofocus>Cancel</button>
  <button value="yes" class="danger">Purge</button></form>
</dialog>
<div id="toast" role="status" aria-live="polite"></div>
<noscript><p>The dashboard needs JavaScript; <code>aimirror status</code> tells the same in a
terminal.</p></noscript>""")
#: For browsers, which ask for it on each page.
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16"'
    ' rx="3" fill="#235cc7"/><path d="M3 5h10M3 8h6M3 11h8" stroke="#fff"'
    ' stroke-width="1.6"/></svg>'
)


def page(**parts: str) -> bytes:
    """A whole page of HTML: ``title``, ``menu``, ``content``, ``script`` and ``version`` of it.

    ``up`` leads to PLACE, and ``home`` to where its name leads.
    """
    return _SHELL.substitute(parts).encode()


def answered(body: bytes, kind: str, cache: str = "no-cache") -> Answer:
    """A file of the mirror's own, under the policy that keeps all else out."""
    fields = [
        ("Content-Type", kind),
        ("Cache-Control", cache),
        ("Content-Security-Policy", POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
    ]
    return Answer(status=200, headers=Headers(fields), body=body)


def moved_to(path: str, asked_for: str) -> Answer:
    """The page is elsewhere: by a relative link, as the mirror may be below a path of a proxy's."""
    up = "../" * (asked_for.count("/") - 1) or "./"
    return Answer(status=308, headers=Headers([("Location", up + path.lstrip("/"))]), body=b"")


def menu(links: list[tuple[str, str]], current: str = "") -> str:
    """Links with their titles, as HTML; ``current`` is the one that the reader is at."""
    items = (
        f'<a href="{link}"{" aria-current=page" if link == current else ""}>{title}</a>'
        for link, title in links
    )
    return f'<nav aria-label="Sections">{" ".join(items)}</nav>'


class Pages:
    """What lies below PLACE and depends on nothing."""

    def __init__(self) -> None:
        self._answers = {
            f"{PLACE}/style.css": answered(_read("style.css"), _TYPES["css"]),
            f"{PLACE}/copy.js": answered(_read("copy.js"), _TYPES["js"]),
            f"{PLACE}/icon.svg": answered(_ICON.encode(), "image/svg+xml"),
            f"{PLACE}/admin": moved_to(f"{PLACE}/admin/", f"{PLACE}/admin"),
        }
        for name in ("common.js", "chart.js", *(f"{each.name}.js" for each in SECTIONS)):
            self._answers[f"{PLACE}/admin/{name}"] = answered(_read(name), _TYPES["js"])
        for section in SECTIONS:
            whole = answered(_section(section), _TYPES["html"])
            self._answers[f"{PLACE}/admin/{section.name}"] = whole
        self._answers[f"{PLACE}/admin/"] = self._answers[f"{PLACE}/admin/{SECTIONS[0].name}"]

    def answer(self, path: str) -> Answer:
        """One page or file."""
        return self._answers.get(path) or error_answer(
            404, "no such page", f"this mirror's own pages are at {PLACE}/"
        )


def _section(section: Section) -> bytes:
    links = [(each.name, each.title) for each in SECTIONS if not each.of]
    own = menu([*links, ("../", "Set-up")], section.of or section.name)
    status = '<p id="connection" role="status" data-state="wait">connecting…</p>'
    content = _ADMIN.substitute(content=_read(f"{section.name}.html").decode())
    script = f'<script src="{section.name}.js" type="module"></script>'
    return page(
        title=section.title,
        up="../",
        menu=f"{status}\n{own}",
        content=content,
        script=script,
        home="./",
        version=f" <span>{__version__}</span>",
    )


def _read(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()
