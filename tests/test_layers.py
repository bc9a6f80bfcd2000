"""The architecture as a test: which module may import which, read from the syntax trees."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "aimirror"

#: Room by room, the lowest first: an import only points to an earlier line (or into its own room).
#: Imports for the type checker count like all others.
ROOMS: tuple[str, ...] = (
    "platform",
    "bounded",
    "http",
    "collector",
    "monotonic",
    "single_flight",
    "at_hand",
    "routing",
    "caching",
    "download",
    "interfaces",
    "store",
    "upstream",
    "workers",
    "tier",
    "cluster",
    "exchanges",
    "server",
    "handlers",
    "mirror",
    "forward",
    "settings",
    "indexes",
    "registries",
    "ecosystems",
    "config",
    "admin",
    "service",
    "tap",
    "commands",
    "cli",
    "__main__",
)
RANK = {room: rank for rank, room in enumerate(ROOMS)}

#: The fakes may use all that is above the service; nothing of the product uses them.
TESTING = "testing"

#: Rooms, and modules of other rooms, that decide without I/O and take time as an argument.
PURE_ROOMS = frozenset({"bounded", "http", "routing", "caching", "download", "settings"})
PURE_MODULES = frozenset(
    {
        "aimirror.admin.prefetch_lists",
        "aimirror.admin.prefetch_locks",
        "aimirror.admin.timetable",
        "aimirror.ecosystems.apk",
        "aimirror.ecosystems.cocoapods",
        "aimirror.ecosystems.composer",
        "aimirror.ecosystems.conan",
        "aimirror.ecosystems.cpan",
        "aimirror.ecosystems.hackage",
        "aimirror.ecosystems.helm",
        "aimirror.ecosystems.hex",
        "aimirror.ecosystems.jsr",
        "aimirror.ecosystems.julia",
        "aimirror.ecosystems.luarocks",
        "aimirror.ecosystems.nix",
        "aimirror.ecosystems.packaged",
        "aimirror.ecosystems.nuget",
        "aimirror.ecosystems.pub",
        "aimirror.ecosystems.swift",
        "aimirror.ecosystems.apt",
        "aimirror.cluster.affinity",
        "aimirror.cluster.balancers",
        "aimirror.cluster.questions",
        "aimirror.cluster.roster",
        "aimirror.ecosystems.cargo",
        "aimirror.ecosystems.conda.repodata",
        "aimirror.ecosystems.cran.packages",
        "aimirror.indexes.digest_table",
        "aimirror.ecosystems.github",
        "aimirror.ecosystems.go",
        "aimirror.ecosystems.homebrew",
        "aimirror.ecosystems.huggingface.paths",
        "aimirror.ecosystems.maven.checksums",
        "aimirror.ecosystems.npm",
        "aimirror.ecosystems.oci.clients",
        "aimirror.ecosystems.oci.errors",
        "aimirror.ecosystems.oci.manifests",
        "aimirror.ecosystems.pypi.clients",
        "aimirror.ecosystems.pypi.names",
        "aimirror.ecosystems.pypi.pages",
        "aimirror.ecosystems.pypi.wheels",
        "aimirror.config.recognition",
        "aimirror.ecosystems.rpm",
        "aimirror.ecosystems.rubygems.index",
        "aimirror.ecosystems.terraform.documents",
        "aimirror.ecosystems.world",
        "aimirror.indexes.reading",
        "aimirror.exchanges.answering",
        "aimirror.exchanges.recent",
        "aimirror.exchanges.versions",
        "aimirror.forward.policy",
        "aimirror.forward.routes",
        "aimirror.mirror.link_targets",
        "aimirror.mirror.rewriting",
        "aimirror.registries.auth",
        "aimirror.registries.paths",
        "aimirror.registries.registry",
        "aimirror.server.access",
        "aimirror.server.tally",
        "aimirror.store.eviction",
        "aimirror.tier.breaker",
        "aimirror.tier.keys",
        "aimirror.tier.names",
        "aimirror.upstream.addresses",
        "aimirror.upstream.bearing",
        "aimirror.upstream.gathering",
        "aimirror.upstream.health",
        "aimirror.upstream.proxies",
        "aimirror.upstream.redirects",
        "aimirror.upstream.silence",
    }
)

#: What they may import besides each other: no clock, disk, network or randomness.
PURE = frozenset(
    {
        *(
            "__future__",
            "abc",
            "array",
            "attr",
            "attrs",
            "base64",
            "binascii",
            "bisect",
            "calendar",
        ),
        *("configparser", "difflib", "io", "ruamel", "tomlkit", "xml"),
        *("codecs", "collections", "contextlib", "copy", "dataclasses", "datetime", "email"),
        *(
            "enum",
            "fnmatch",
            "fractions",
            "functools",
            "hashlib",
            "heapq",
            "hmac",
            "html",
            "ipaddress",
        ),
        *("itertools", "json", "keyword", "math", "numbers", "operator", "posixpath", "re"),
        *(
            "statistics",
            "string",
            "struct",
            "textwrap",
            "tomllib",
            "types",
            "typing",
            "unicodedata",
        ),
        *("unicodedata", "urllib", "zlib", "zstandard"),
    }
)
#: Members of pure packages that do I/O after all.
IMPURE = frozenset({"urllib.request", "urllib.robotparser", "urllib.error"})

#: Who knows of stored and arriving files by ``ILibrary`` alone, and what is behind that.
BEFORE_THE_DOOR = frozenset({"mirror", "indexes", "registries", "ecosystems"})
BEHIND_THE_DOOR = frozenset({"store", "upstream", "workers", "exchanges"})
#: Decisions about an upstream's answer, once it has come through the door.
AT_THE_DOOR = frozenset(
    {
        "aimirror.exchanges.answering",
        "aimirror.exchanges.decoding",
        "aimirror.upstream.responses",
        "aimirror.upstream.redirects",
    }
)

#: Where the one real reactor may be named: where programs start.
REACTOR = frozenset({"service", "tap", "commands", "cli", "__main__"})
REACTOR_MODULES = frozenset({"aimirror.workers.worker.__main__"})


@frozen
class Import:
    """One imported module, as some module wrote it."""

    by: str
    target: str
    line: int
    #: Only for the type checker: inside ``if TYPE_CHECKING``.
    typing: bool

    def __str__(self) -> str:
        return f"{self.by} (line {self.line}) imports {self.target}"


def module_name(path: Path) -> str:
    """The dotted name of a file under the root."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted((ROOT / PACKAGE).rglob("*.py"))}


def is_type_checking(node: ast.AST) -> bool:
    """Whether a node is ``if TYPE_CHECKING:``."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def nodes(tree: ast.AST, typing: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """All nodes, with whether they are there for the type checker alone."""
    for child in ast.iter_child_nodes(tree):
        yield child, typing
        yield from nodes(child, typing or is_type_checking(child))


def from_targets(name: str, node: ast.ImportFrom) -> list[str]:
    """The modules that a ``from … import …`` loads: submodules are named by themselves."""
    base = node.module or ""
    if node.level:
        is_package = MODULES[name].name == "__init__.py"
        parts = name.split(".")
        kept = parts[: len(parts) - node.level + (1 if is_package else 0)]
        base = ".".join([*kept, *([node.module] if node.module else [])])
    found = []
    for alias in node.names:
        whole = f"{base}.{alias.name}"
        named = whole in MODULES or whole == "twisted.internet.reactor" or whole in IMPURE
        found.append(whole if named else base)
    return found


def imports_of(name: str, source: str) -> list[Import]:
    """Every import of a module, wherever in it it stands."""
    found = []
    for node, typing in nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            targets = from_targets(name, node)
        else:
            continue
        found += [Import(name, target, node.lineno, typing) for target in targets]
    return found


def member(name: str) -> str:
    """The direct member of the package that a module belongs to; "" for the package itself."""
    return [*name.split("."), ""][1]


IMPORTS = [
    imported
    for name, path in MODULES.items()
    for imported in imports_of(name, path.read_text("utf-8"))
]
INTERNAL = [i for i in IMPORTS if i.target.split(".")[0] == PACKAGE]


def layer_fault(imported: Import) -> str | None:
    """What is wrong with the direction of an internal import, if anything."""
    own, other = member(imported.by), member(imported.target)
    if other == "" or own == other:
        return None
    if other == TESTING:
        return f"{imported}: the product does not use its fakes"
    if own == TESTING:
        wrong = RANK[other] >= RANK["service"]
    else:
        wrong = RANK[other] >= RANK[own]
    return f"{imported}: {other} is not above {own} in the table of layers" if wrong else None


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """Some cycle in a graph, as a path that ends where it began; empty when there is none."""
    done: set[str] = set()

    def visit(node: str, trail: list[str]) -> list[str]:
        if node in trail:
            return [*trail[trail.index(node) :], node]
        if node in done:
            return []
        for after in sorted(graph.get(node, ())):
            found = visit(after, [*trail, node])
            if found:
                return found
        done.add(node)
        return []

    return next((found for node in sorted(graph) if (found := visit(node, []))), [])


def pure(name: str) -> bool:
    """Whether a module may do no I/O."""
    return member(name) in PURE_ROOMS or name in PURE_MODULES


def allowed_in_pure(target: str) -> bool:
    """Whether a pure module may import a target."""
    top = target.split(".")[0]
    if top == PACKAGE:
        return pure(target)
    return top in PURE and target not in IMPURE


class LayersTests(SynchronousTestCase):
    """Where imports point."""

    def fail_with(self, faults: list[str]) -> None:
        if faults:
            self.fail("\n" + "\n".join(faults))

    def test_every_member_has_a_layer(self) -> None:
        """A new member of the package must be put into the table first."""
        known = RANK.keys() | {TESTING, ""}
        self.fail_with(
            [
                f"{name}: {member(name)!r} is in no layer"
                for name in MODULES
                if member(name) not in known
            ]
        )

    def test_imports_point_upwards(self) -> None:
        """No module imports from its own layer's neighbours or from a layer below it."""
        self.fail_with([fault for i in INTERNAL if (fault := layer_fault(i))])

    def test_pure_modules_do_no_io(self) -> None:
        """They import each other, attrs, and modules of the library that do no I/O."""
        faults = [
            f"{i}: {i.by} does no I/O and takes time as an argument"
            for i in IMPORTS
            if pure(i.by) and not allowed_in_pure(i.target)
        ]
        self.fail_with(faults)

    def test_pure_modules_exist(self) -> None:
        """The list of pure modules names no module that is gone."""
        self.assertEqual(sorted(PURE_MODULES - MODULES.keys()), [])

    def test_interfaces_need_no_twisted(self) -> None:
        """The interfaces name Twisted's types for the type checker alone."""
        self.fail_with(
            [
                f"{i} at run time"
                for i in IMPORTS
                if member(i.by) == "interfaces" and i.target.startswith("twisted") and not i.typing
            ]
        )

    def test_the_reactor_is_a_parameter(self) -> None:
        """The global reactor is named only where a program starts."""
        self.fail_with(
            [
                f"{i}: take the reactor as a parameter"
                for i in IMPORTS
                if i.target == "twisted.internet.reactor"
                and not (member(i.by) in REACTOR | {TESTING} or i.by in REACTOR_MODULES)
            ]
        )

    def test_only_config_reads_yaml(self) -> None:
        """YAML ends at the configuration: the rest sees checked objects."""
        self.fail_with(
            [
                f"{i}: only config reads YAML"
                for i in IMPORTS
                if i.target.split(".")[0] == "yaml" and member(i.by) != "config"
            ]
        )

    def test_one_door(self) -> None:
        """The mirror and the package worlds know disk, downloads and upstreams by the library."""
        self.fail_with(
            [
                f"{i}: ask the library"
                for i in INTERNAL
                if member(i.by) in BEFORE_THE_DOOR
                and member(i.target) in BEHIND_THE_DOOR
                and i.target not in AT_THE_DOOR
            ]
        )

    def test_no_cycles(self) -> None:
        """No module needs itself, by whatever way."""
        graph: dict[str, set[str]] = {}
        for i in INTERNAL:
            if i.target not in (i.by, PACKAGE):
                graph.setdefault(i.by, set()).add(i.target)
        self.assertEqual(cycle(graph), [], "import cycle")


class CheckerTests(SynchronousTestCase):
    """The checks above can fail."""

    def test_sees_imports_inside_functions_and_types(self) -> None:
        """An import is found in a function, and one for the type checker is told apart."""
        source = (
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import yaml\n"
            "def f():\n    from twisted.internet import reactor\n"
        )
        found = {(i.target, i.typing) for i in imports_of("aimirror.http", source)}
        self.assertEqual(
            found, {("typing", False), ("yaml", True), ("twisted.internet.reactor", False)}
        )

    def test_relative_imports(self) -> None:
        """A relative import counts as what it resolves to."""
        found = imports_of(
            "aimirror.http.ranges", "from .. import cli\nfrom .headers import Headers\n"
        )
        self.assertEqual(
            [i.target for i in found],
            ["aimirror.cli" if "aimirror.cli" in MODULES else "aimirror", "aimirror.http.headers"],
        )

    def test_downward_and_sideways_are_faults(self) -> None:
        """Low to high rooms, and anything to the fakes are refused; the reverse is not."""

        def wrong(by: str, target: str) -> bool:
            return layer_fault(Import(f"aimirror.{by}", f"aimirror.{target}", 1, False)) is not None

        self.assertTrue(wrong("http.ranges", "server.site"))
        self.assertTrue(wrong("store.store", "workers.wire"))
        self.assertTrue(wrong("service.service", "testing.origin"))
        self.assertTrue(wrong("testing.origin", "service.service"))
        self.assertFalse(wrong("server.site", "http.ranges"))
        self.assertFalse(wrong("store.store", "store.index"))
        self.assertFalse(wrong("tap", "service.service"))

    def test_finds_a_cycle(self) -> None:
        """A cycle over two steps is found, a diamond is none."""
        self.assertEqual(cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}), ["a", "b", "c", "a"])
        self.assertEqual(cycle({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}}), [])


class PluginTests(SynchronousTestCase):
    """What every user of twistd pays for this package."""

    def test_no_init_in_plugin_folders(self) -> None:
        """``twisted`` and ``twisted/plugins`` stay namespace folders: an __init__ hides Twisted."""
        found = [str(p) for p in (ROOT / "twisted").rglob("__init__.py")]
        self.assertEqual(found, [])

    def test_plugin_imports_only_the_service_maker(self) -> None:
        """The plugin file imports nothing heavy."""
        source = (ROOT / "twisted" / "plugins" / "aimirror_plugin.py").read_text("utf-8")
        imported = [
            node
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        self.assertEqual(
            [ast.unparse(node) for node in imported],
            ["from twisted.application.service import ServiceMaker"],
        )

    def test_twistd_finds_it(self) -> None:
        """The plugin is found by the name under which it is documented."""
        from twisted.application.service import IServiceMaker
        from twisted.plugin import getPlugins

        self.assertIn(str(ROOT), sys.path)
        names = [maker.tapname for maker in getPlugins(IServiceMaker)]
        self.assertIn("aimirror", names)


#: Share of the product's lines that one room may have, and lines that one file may have.
LARGEST_ROOM = 0.15
LONGEST = 300
#: Files that are longer, which only shrink; each is one class whose parts need each other's state.
LONGER = {
    "store/store.py": 410,
    "exchanges/running.py": 370,
    "server/request.py": 420,
    "exchanges/asking.py": 410,
    "upstream/agent.py": 395,
    "exchanges/library.py": 370,
    "server/channel.py": 365,
    "mirror/cached.py": 360,
    "exchanges/growing.py": 360,
    "tier/tier.py": 360,
    "upstream/hosts.py": 360,
    "admin/api.py": 355,
    "exchanges/ranged.py": 350,
    "upstream/connection.py": 325,
}


def line_counts() -> dict[str, int]:
    """The lines of each file of the product, by its path in the package."""
    return {
        path.relative_to(ROOT / PACKAGE).as_posix(): path.read_text("utf-8").count("\n")
        for name, path in MODULES.items()
        if member(name) != TESTING
    }


class SizeTests(SynchronousTestCase):
    """A reader finds the way: no room is a warehouse, and no file a room."""

    def test_rooms(self) -> None:
        """No room has more than its share of the lines."""
        counts = line_counts()
        rooms: dict[str, int] = {}
        for path, lines in counts.items():
            room = path.partition("/")[0]
            rooms[room] = rooms.get(room, 0) + lines
        most = LARGEST_ROOM * sum(counts.values())
        self.assertEqual({room: n for room, n in rooms.items() if n > most}, {})

    def test_files(self) -> None:
        """No file is longer than can be read in one go, but for those of the list."""
        over = {p: n for p, n in line_counts().items() if n > LONGER.get(p, LONGEST)}
        self.assertEqual(over, {})

    def test_list_shrinks(self) -> None:
        """Who is no longer too long is not in the list."""
        counts = line_counts()
        self.assertEqual([p for p in LONGER if counts.get(p, 0) <= LONGEST], [])
