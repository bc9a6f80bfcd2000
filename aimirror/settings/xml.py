"""Maven's settings.xml: text is put where the parser says, all else stays to the letter."""

from __future__ import annotations

from xml.etree import ElementTree
from xml.parsers import expat

from attrs import define, field

from aimirror.settings.merging import Merge


@define
class _Element:
    """An element by its path, and where it lies in the bytes; its content from ``inner`` on."""

    path: tuple[str, ...]
    start: int
    inner: int = -1
    inner_stop: int = -1
    stop: int = -1
    text: str = ""


@define
class _Reader:
    """Collects the elements of a document with their offsets."""

    data: bytes
    elements: list[_Element] = field(factory=list)
    open: list[_Element] = field(factory=list)

    def read(self) -> list[_Element]:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = lambda name, attributes: self._start(parser, name)
        parser.EndElementHandler = lambda name: self._end(parser)
        parser.CharacterDataHandler = self._characters
        parser.EntityDeclHandler = self._entity
        try:
            parser.Parse(self.data, True)
        except expat.ExpatError as error:
            raise ValueError(f"it is no XML: {error}") from None
        return self.elements

    def _start(self, parser: expat.XMLParserType, name: str) -> None:
        element = _Element(
            (*(each.path[-1] for each in self.open), _local(name)), parser.CurrentByteIndex
        )
        element.inner = _tag_end(self.data, element.start)
        self.elements.append(element)
        self.open.append(element)

    def _end(self, parser: expat.XMLParserType) -> None:
        element, at = self.open.pop(), parser.CurrentByteIndex
        if self.data[element.inner - 2 : element.inner] == b"/>":
            element.inner_stop = element.stop = element.inner
        else:
            element.inner_stop, element.stop = at, _tag_end(self.data, at)

    def _characters(self, text: str) -> None:
        if self.open:
            self.open[-1].text += text

    def _entity(self, *_: object) -> None:
        raise ValueError("it declares entities")


def maven_mirror(identity: str, of: str, url: str) -> Merge:
    """Have a ``<mirror>`` of an id in the settings, the first one: others may be for the same."""

    def merge(before: str | None) -> str:
        if before is None or not before.strip():
            block = "".join(
                f"  {line}\n"
                for line in ("<mirrors>", *_mirror(identity, of, url, "  "), "</mirrors>")
            )
            return f"<settings>\n{block}</settings>\n"
        data = before.encode()
        elements = _Reader(data).read()
        if elements[0].path != ("settings",):
            raise ValueError("its root is not <settings>")
        after = _with(data, elements, identity, of, url).decode()
        ElementTree.fromstring(after)
        return after

    return merge


def _with(data: bytes, elements: list[_Element], identity: str, of: str, url: str) -> bytes:
    own = _own(elements, identity)
    if own is not None:
        changed = {"mirrorOf": of, "url": url}
        for each in reversed(_children(elements, own)):
            value = changed.get(each.path[-1])
            if value is not None and each.text.strip() != value:
                data = data[: each.inner] + _escaped(value) + data[each.inner_stop :]
        return data
    mirrors = next((e for e in elements if e.path == ("settings", "mirrors")), None)
    if mirrors is not None and mirrors.inner != mirrors.stop:
        pad = _indent(data, mirrors.start)
        lines = "".join(f"\n{pad}{line}" for line in _mirror(identity, of, url, "  "))
        return data[: mirrors.inner] + lines.encode() + data[mirrors.inner :]
    lines = "".join(
        f"  {line}\n" for line in ("<mirrors>", *_mirror(identity, of, url, "  "), "</mirrors>")
    )
    if mirrors is not None:  # <mirrors/>
        return data[: mirrors.start] + lines.strip().encode() + data[mirrors.stop :]
    root = elements[0]
    if root.inner == root.stop:
        raise ValueError("its root is empty")
    return data[: root.inner_stop] + lines.encode() + data[root.inner_stop :]


def _own(elements: list[_Element], identity: str) -> _Element | None:
    path = ("settings", "mirrors", "mirror")
    for each in elements:
        if each.path == path and any(
            child.path[-1] == "id" and child.text.strip() == identity
            for child in _children(elements, each)
        ):
            return each
    return None


def _children(elements: list[_Element], parent: _Element) -> list[_Element]:
    return [
        e for e in elements if parent.start < e.start < parent.stop and e.path[:-1] == parent.path
    ]


def _mirror(identity: str, of: str, url: str, pad: str) -> list[str]:
    fields = {"id": identity, "mirrorOf": of, "url": _escaped(url).decode()}
    inner = [f"{pad}{pad}<{name}>{value}</{name}>" for name, value in fields.items()]
    return [f"{pad}<mirror>", *inner, f"{pad}</mirror>"]


def _escaped(text: str) -> bytes:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").encode()


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _tag_end(data: bytes, start: int) -> int:
    """Where a tag ends; a ``>`` may stand in a quoted value."""
    quote = b""
    for at in range(start, len(data)):
        letter = data[at : at + 1]
        if quote:
            quote = b"" if letter == quote else quote
        elif letter in (b'"', b"'"):
            quote = letter
        elif letter == b">":
            return at + 1
    return len(data)


def _indent(data: bytes, at: int) -> str:
    line = data[data.rfind(b"\n", 0, at) + 1 : at]
    return line.decode() if not line.strip() else ""
