"""A headless Chromium, driven over its debugging pipe."""

from __future__ import annotations

import fcntl
import json
import os
import selectors
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"
    " --disable-background-networking --disable-component-update --remote-debugging-pipe"
)
#: Chromium reads commands from descriptor 3 and writes answers to 4.
_LAUNCH = """
import os, sys
reading, writing, *command = sys.argv[1:]
os.dup2(int(reading), 3)
os.dup2(int(writing), 4)
os.execv(command[0], command)
"""
#: Seconds for one answer.
_ANSWER = 30
#: Events that mean that something on the page is wrong.
_WRONG = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")


class Browser:
    """One page of it; ``close`` ends it."""

    def __init__(self, program: str, profile: Path) -> None:
        theirs_in, self._in = os.pipe()
        self._out, theirs_out = os.pipe()
        theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (theirs_in, theirs_out)]
        os.close(theirs_in)
        os.close(theirs_out)
        command = [sys.executable, "-c", _LAUNCH, *map(str, theirs), program, *_FLAGS.split()]
        command.append(f"--user-data-dir={profile}")
        self._process = subprocess.Popen(
            [*command, "about:blank"],
            pass_fds=theirs,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(profile)},
        )
        for fd in theirs:
            os.close(fd)
        self._read = b""
        self._number = 0
        self._session: dict[str, str] = {}
        #: What the page complained of.
        self.wrong: list[Any] = []
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(each["targetId"] for each in targets if each["type"] == "page")
        told = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self._session = {"sessionId": told["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Accessibility"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        """A command of the DevTools protocol, and its result."""
        self._number += 1
        words = {"id": self._number, "method": method, "params": params, **self._session}
        os.write(self._in, json.dumps(words).encode() + b"\0")
        until = time.monotonic() + _ANSWER
        while (told := self._next(until)).get("id") != self._number:
            if told.get("method") in _WRONG:
                self.wrong.append(told["params"])
        if "error" in told:
            raise ValueError(f"{method}: {told['error']}")
        return told["result"]

    def _next(self, until: float) -> Any:
        with selectors.DefaultSelector() as selector:
            selector.register(self._out, selectors.EVENT_READ)
            while b"\0" not in self._read:
                if not selector.select(max(0.0, until - time.monotonic())):
                    raise TimeoutError("the browser does not answer")
                data = os.read(self._out, 1 << 20)
                if not data:
                    raise TimeoutError("the browser has ended")
                self._read += data
        line, _, self._read = self._read.partition(b"\0")
        return json.loads(line)

    def run(self, script: str) -> Any:
        """The value of an expression on the page."""
        told = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in told:
            raise ValueError(f"{script}: {told['exceptionDetails']}")
        return told["result"].get("value")

    def press(self, key: str, number: int, text: str = "") -> None:
        """A key, by its name and virtual key code."""
        more = {"text": text} if text else {}
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=number,
                **(more if kind == "keyDown" else {}),
            )

    def enter(self) -> None:
        """The Enter key."""
        self.press("Enter", 13, "\r")

    def tab(self) -> None:
        """The Tab key."""
        self.press("Tab", 9)

    def nameless(self) -> list[str]:
        """Roles of controls that a screen reader could not name."""
        roles = {"button", "link", "textbox", "combobox", "checkbox", "searchbox", "spinbutton"}
        roles |= {"image", "img", "meter", "progressbar", "table", "region", "form"}
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        told = [(n.get("role", {}).get("value"), n.get("name", {}).get("value")) for n in nodes]
        return [role for role, name in told if role in roles - {"form", "table"} and not name]

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
