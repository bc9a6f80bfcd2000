"""The list of package worlds, and what is made of it."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve

from aimirror.config.presets import presets
from aimirror.ecosystems import registry
from aimirror.ecosystems.making import Edges
from aimirror.ecosystems.registry import BY_NAME, CLIENTS, NAMES, WORLDS
from aimirror.mirror.ecosystem import Ecosystem
from aimirror.registries.registry import Registries
from tests.mirror.support import MirrorCase

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
PAGE = DOCS / "ecosystems/packages.md"


class RegistryTests(MirrorCase):
    def made(self, name: str) -> Ecosystem:
        edges = Edges(library=self.library, registries=Registries(()))
        return registry.made(BY_NAME[name], edges)

    def test_each_name_has_a_class(self) -> None:
        """What rules may name is carried out; what is nothing but presets can't be named."""
        made = registry.ecosystems(self.library, ())
        self.assertEqual(set(made), set(NAMES))
        for world in made.values():
            for method in ("take", "finish", "refused"):
                self.assertTrue(callable(getattr(world, method)), world)
        self.assertNotIn("homebrew", NAMES)
        self.assertRaises(ValueError, self.made, "homebrew")

    def test_one_of_a_name(self) -> None:
        """Two worlds of one name are an error at import, and so are two clients."""
        self.assertRaises(ValueError, registry._by_name, (*WORLDS, WORLDS[0]))
        other = evolve(WORLDS[0], name="other")
        self.assertRaises(ValueError, registry._clients, (*WORLDS, other))

    def test_presets_name_worlds(self) -> None:
        """A preset's rules name the world that it is a preset of, or none."""
        of = {name: w.name for w in WORLDS for name in presets() if f"\n{name}:" in w.presets}
        self.assertGreater(len(of), 10)
        for name, world in of.items():
            for rule in presets()[name]:
                self.assertEqual(rule.get("ecosystem", world), world, name)

    def test_table(self) -> None:
        """The documents' table is the registry's: copy what is expected here into it."""
        self.assertIn(registry.table(), PAGE.read_text("utf-8"))

    def test_clients_are_told_of(self) -> None:
        """README or a document names each client that can be set up."""
        text = "\n".join(
            page.read_text("utf-8") for page in (DOCS.parent / "README.md", *DOCS.rglob("*.md"))
        )
        self.assertEqual([client for client in CLIENTS if client not in text.lower()], [])
