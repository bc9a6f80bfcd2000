"""Makes the picture of the dashboard in the documents: ``python -m tests.e2e.screenshot FILE``.

A real service and a real browser; the charts' numbers are made up, but for the last ones.
"""

from __future__ import annotations

import base64
import math
import shutil
import sys
import tempfile
import time
from pathlib import Path

from aimirror.admin import history
from aimirror.admin.overview import STEPS
from aimirror.server.tally import Series, Totals
from aimirror.testing.processes import OriginProgram, ServiceProgram
from tests.e2e.browser import Browser

#: Pixels.
WIDTH, HEIGHT = 1200, 790


def charts(now: float) -> bytes:
    """An hour of a mirror of some people, in which the cache gets warm."""
    series = [Series(step, length) for step, length in STEPS]
    totals = Totals()
    for n in range(STEPS[0][1]):
        asked = 28 + 12 * math.sin(n / 21) + 4 * math.sin(n / 3.7)
        hits = int(asked * (0.45 + 0.5 * n / STEPS[0][1]))
        misses = int(asked) - hits
        totals = Totals(
            totals.hits + hits,
            totals.misses + misses,
            totals.served + 900_000 * int(asked),
            totals.saved + 900_000 * hits,
            totals.fetched + 900_000 * misses,
            totals.errors + (n in (90, 91, 240)),
        )
        series[0].sample(now - STEPS[0][0] * (STEPS[0][1] - n), totals)
    return history.dumped(series)


def main(target: Path) -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "cache").mkdir()
        history.write(folder / "cache", charts(time.time()))
        origin = OriginProgram(folder / "origin.log")
        rule = {"name": "files", "pattern": "^/", "upstream": origin.url}
        service = ServiceProgram(folder, [rule])
        browser = Browser(shutil.which("chromium") or "chromium", folder / "profile")
        try:
            paths = [f"/{n}" for n in range(12)]
            origin.script({path: {"size": 4_000_000, "seed": n} for n, path in enumerate(paths)})
            for path in paths + 6 * paths:
                service.get(path)
            browser.call(
                "Emulation.setDeviceMetricsOverride",
                width=WIDTH,
                height=HEIGHT,
                deviceScaleFactor=1,
                mobile=False,
            )
            browser.call("Page.navigate", url=f"http://127.0.0.1:{service.port}/aimirror/admin/")
            time.sleep(4)
            data = browser.call("Page.captureScreenshot", format="png")["data"]
            target.write_bytes(base64.b64decode(data))
        finally:
            browser.close()
            service.program.kill()
            origin.program.kill()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
