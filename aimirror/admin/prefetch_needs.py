"""What Python projects need in turn, where no resolver is at hand: the newest that fits all.

Versions are chosen one after the other and chosen again when more is asked of a project; nothing
is tried out backwards, as uv and pip do.  What fits nothing is told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

from attrs import define, evolve, field
from packaging.markers import InvalidMarker, Marker, default_environment
from packaging.requirements import InvalidRequirement, Requirement

from aimirror.admin.prefetch_lists import Interpreter, Project, normalised

#: Projects that one list may need; more are a mistake.
MOST_PROJECTS = 2000
#: Times that one project may be chosen anew.
_MOST_CHOICES = 20

#: How machines are called in markers (PEP 508), by the first word of a platform.
_SYSTEMS: Mapping[str, tuple[str, str, str]] = {
    "linux": ("linux", "Linux", "posix"),
    "macosx": ("darwin", "Darwin", "posix"),
    "win": ("win32", "Windows", "nt"),
}


def environment(interpreter: Interpreter) -> dict[str, str]:
    """What markers are judged by: the interpreter, and this one where it does not say."""
    values = {key: str(value) for key, value in default_environment().items()}
    if interpreter.python:
        version = ".".join(interpreter.python.split(".")[:2])
        values |= {"python_version": version, "python_full_version": f"{version}.0"}
    system, _, machine = interpreter.platform.replace("-", "_").partition("_")
    if system in _SYSTEMS:
        platform, name, os_name = _SYSTEMS[system]
        values |= {"sys_platform": platform, "platform_system": name, "os_name": os_name}
        values["platform_machine"] = "AMD64" if system == "win" else machine
    return values


def applies(marker: str, env: Mapping[str, str], extras: Iterable[str] = ()) -> bool:
    """Whether a requirement with a marker is meant; one that is not understood is."""
    if not marker:
        return True
    try:
        parsed = Marker(marker)
    except InvalidMarker:
        return True
    return any(parsed.evaluate({**env, "extra": extra}) for extra in ("", *extras))


def needs(metadata: str, extras: Iterable[str], env: Mapping[str, str]) -> Iterator[Project]:
    """The projects that a METADATA file requires, for those of its extras."""
    extras = tuple(extras)
    for line in metadata.partition("\n\n")[0].splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() != "requires-dist":
            continue
        try:
            wanted = Requirement(value.strip())
        except InvalidRequirement:
            continue
        marker = str(wanted.marker) if wanted.marker is not None else ""
        if wanted.url is None and applies(marker, env, extras):
            yield Project(
                normalised(wanted.name),
                str(wanted.specifier),
                extras=frozenset(wanted.extras),
            )


@define
class Closure:
    """Projects and all that they need.

    ``look(project)`` gives a version that fits, and the text of its METADATA, or None when nothing
    fits; ``env`` is what markers are judged by.
    """

    look: Callable[[Project], Awaitable[tuple[str, str] | None]]
    env: Mapping[str, str]
    #: What is asked of each project, and how often it was looked at.
    wanted: dict[str, Project] = field(factory=dict)
    _looked: dict[str, int] = field(factory=dict)

    async def complete(self, projects: Iterable[Project]) -> tuple[Project, ...]:
        """The projects with all that they need, each pinned to the version that was chosen.

        What fits nothing is left as it is asked for.
        """
        waiting = deque(p for p in projects if applies(p.marker, self.env))
        chosen: dict[str, str] = {}
        while waiting and len(self.wanted) <= MOST_PROJECTS:
            project = self._asked(waiting.popleft())
            if project is None or self._looked[project.name] > _MOST_CHOICES:
                continue
            releases = await self.look(project)
            chosen.pop(project.name, None)
            if releases is not None:
                chosen[project.name] = releases[0]
                waiting.extend(needs(releases[1], project.extras, self.env))
        return tuple(
            evolve(project, specifier=f"=={chosen[name]}") if name in chosen else project
            for name, project in self.wanted.items()
        )

    def _asked(self, more: Project) -> Project | None:
        """A project with all that is asked of it by now; None when that is nothing new."""
        before = self.wanted.get(more.name)
        if before is not None:
            parts = dict.fromkeys(
                part for text in (before.specifier, more.specifier) for part in text.split(",")
            )
            more = evolve(
                before,
                specifier=",".join(part for part in parts if part),
                extras=before.extras | more.extras,
            )
        if more == before:
            return None
        self.wanted[more.name] = more
        self._looked[more.name] = self._looked.get(more.name, 0) + 1
        return more
