"""What was measured, as one table."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

from attrs import field, frozen

#: Column by column: attribute, heading, format.
COLUMNS = (
    ("case", "case", "{}"),
    ("who", "who", "{}"),
    ("seconds", "s", "{:.2f}"),
    ("ratio", "÷ ideal", "{:.2f}"),
    ("first", "first byte ms", "{:.0f}"),
    ("speed", "MB/s", "{:.0f}"),
    ("requests", "requests/s", "{:.0f}"),
    ("cpu", "CPU s/GB", "{:.2f}"),
    ("memory", "memory +MB", "{:.1f}"),
    ("note", "", "{}"),
)

TOOLS = (
    ("nginx", ("nginx", "-v")),
    ("curl", ("curl", "--version")),
    ("aria2c", ("aria2c", "--version")),
    ("axel", ("axel", "--version")),
    ("wrk", ("wrk", "-v")),
)


@frozen(kw_only=True)
class Result:
    """One line; what was not measured is None. Memory is that of all processes above idle."""

    case: str
    who: str
    seconds: float | None = None
    ratio: float | None = None
    first: float | None = None
    speed: float | None = None
    requests: float | None = None
    cpu: float | None = None
    memory: float | None = None
    note: str = field(default="")

    def cells(self) -> list[str]:
        """The texts of this line."""
        values = [(getattr(self, name), form) for name, _, form in COLUMNS]
        return ["" if value is None else form.format(value) for value, form in values]


def table(results: list[Result]) -> str:
    """A Markdown table with aligned columns."""
    lines = [[heading for _, heading, _ in COLUMNS], *(result.cells() for result in results)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
    text_columns = {0, 1, len(COLUMNS) - 1}

    def row(line: list[str]) -> str:
        cells = [
            cell.ljust(width) if i in text_columns else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        return f"| {' | '.join(cells)} |"

    rule = [
        "-" * width if i in text_columns else "-" * (width - 1) + ":"
        for i, width in enumerate(widths)
    ]
    return "\n".join([row(lines[0]), row(rule), *map(row, lines[1:])])


def conditions() -> list[str]:
    """The machine and the versions, one per line."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        if line.startswith("model name")
    ]
    cores = os.cpu_count()
    packages = ", ".join(f"{name} {version(name)}" for name in ("Twisted", "treq", "pyOpenSSL"))
    return [
        f"{time.strftime('%Y-%m-%d')}, {cores} cores ({models[0] if models else 'unknown'}), "
        f"Linux {platform.release()}, all on 127.0.0.1, clients and origin on the same cores",
        f"Python {platform.python_version()}, {packages}",
        ", ".join(_tool(name, command) for name, command in TOOLS),
    ]


def _tool(name: str, command: tuple[str, ...]) -> str:
    found = find(command[0])
    if found is None:
        return f"{name} not installed"
    said = subprocess.run([found, *command[1:]], capture_output=True, text=True, check=False)
    first = (said.stdout + said.stderr).strip().splitlines()[0]
    words = [word for word in first.replace("/", " ").split() if word[0].isdigit()]
    return f"{name} {words[0] if words else '?'}"


def find(tool: str) -> str | None:
    """Where a tool is installed."""
    return shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
