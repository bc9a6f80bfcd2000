"""Faults of upstreams, disks and processes against the real service; docs/faults.md is the table.

Each has its defined answer, nothing bad stays in the cache, and other clients notice nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from aimirror.testing import client
from aimirror.testing.processes import OriginProgram, ServiceProgram, own_environment
from tests.e2e.support import CONTENT, SIZE, EndToEndTests, InBackground

SMALL = 50_000
#: Of what is not yet there, this much more may be fetched after everything was killed.
REFETCHED = 0.05


class FaultCase(EndToEndTests):
    """A service between an origin that misbehaves and clients who must not suffer."""

    def launch(self, rules: list[dict[str, Any]] | None = None, **more: Any) -> ServiceProgram:
        """The service with quick time-outs."""
        server = {"timeouts": {"connect": 2, "header": 1, "silence": 1}, **more.pop("server", {})}
        service = ServiceProgram(self.folder, rules or [self.rule()], server=server, **more)
        self.addCleanup(service.program.kill)
        return service

    def others_are_well(self, service: ServiceProgram) -> None:
        """Another file comes right, and no download is left behind."""
        self.origin.script({"/other.bin": {"size": SIZE, "seed": 7}})
        target = "/other.bin" if service.get("/other.bin").status == 200 else "/files/other.bin"
        self.assertWhole(service.get(target))
        deadline = time.monotonic() + 15
        while service.get("/health").json()["active_downloads"]:
            self.assertLess(time.monotonic(), deadline, "a download does not end")
            time.sleep(0.05)

    def refused(self, reply: client.Reply, status: int) -> dict[str, Any]:
        """One line of JSON with a reason."""
        self.assertEqual((reply.status, reply.body.count(b"\n")), (status, 1), reply.body[:200])
        told: dict[str, Any] = reply.json()
        self.assertTrue(told["reason"])
        return told

    def broken(self, service: ServiceProgram, path: str, *headers: tuple[str, str]) -> bytes:
        """The transfer is cut: what had come is the beginning of the file."""
        cut = self.assertRaises(client.Broken, service.get, path, *headers)
        self.assertTrue(CONTENT.startswith(cut.received))
        self.assertLess(len(cut.received), SIZE)
        return bytes(cut.received)

    def stored(self, service: ServiceProgram, path: str) -> client.Reply:
        """What is in the cache once a download that has begun by itself is over."""
        reply = service.get(path)
        while reply.headers.get("X-Cache") != "HIT":
            reply = service.get(path)
        self.assertEqual(reply.status, 200)
        return reply

    def cached(self, service: ServiceProgram) -> int:
        """Files in the cache."""
        return int(service.get("/stats").json()["cache"]["file_count"])


class BodyTests(FaultCase):
    """Bodies and headers that lie."""

    def test_ranges(self) -> None:
        """Ranges that break off, reset or end short are completed; the client notices nothing."""
        service = self.launch()
        for number, fault in enumerate(
            (
                {"short": 300_000, "times": 4},
                {"short": 300_000, "ending": "close", "times": 4},
                {"extra": 1000, "times": 4},
                {"silent_after": 100_000, "times": 3},
                {"range_shift": 1, "times": 1},
                {"die_every": 3},
                {"ranges": False},
            )
        ):
            path = self.serve(f"/r{number}.bin", **fault)
            self.assertWhole(service.get(path))
            self.settle(service)
            self.assertWhole(service.get(path))
            self.assertEqual(self.cached(service), 1, fault)
        self.others_are_well(service)

    def test_mixed(self) -> None:
        """Dying, crawling, breaking and lying connections in one download: right, and in time."""
        service = self.launch()
        faults = {"die_every": 4, "crawl_every": 5, "short": 200_000, "times": 6}
        for number, more in enumerate(({}, {"range_shift": 1, "times": 1}, {"crawl_every": 2})):
            path = self.serve(f"/m{number}.bin", rate=4_000_000, **{**faults, **more})
            began = time.monotonic()
            self.assertWhole(service.get(path))
            # A single crawling piece of the end, not given to another connection, takes 25 s.
            self.assertLess(time.monotonic() - began, 20)
        self.others_are_well(service)

    def test_plain(self) -> None:
        """A plain stream of uncertain version that ends early is cut, and not kept."""
        service = self.launch([self.rule(strategy="proxy")])
        unsure = {"etag": "weak", "times": 1}
        for number, fault in enumerate(
            (
                {"short": 300_000},
                {"short": 300_000, "ending": "close"},
                {"silent_after": 100_000},
                {"short": 300_000, "framing": "chunked"},
            )
        ):
            path = self.serve(f"/p{number}.bin", **unsure, **fault)
            self.broken(service, path)
            self.assertEqual(service.get("/health").status, 200)
            self.assertWhole(service.get(path))
        path = self.serve("/extra.bin", extra=1000)
        self.assertWhole(service.get(path))
        self.others_are_well(service)

    def test_plain_gone_on_with(self) -> None:
        """A plain stream of a version that is certain goes on where it broke off."""
        service = self.launch([self.rule(strategy="proxy")])
        for number, fault in enumerate(
            (
                {"short": 3_000_000},
                {"short": 3_000_000, "ending": "close", "times": 2},
                {"silent_after": 100_000},
                {"silent_after": 9_000_000, "ranges": False},
                {"short": 1000, "headers": [["Cache-Control", "no-store"]]},
            )
        ):
            path = self.serve(f"/g{number}.bin", **{"times": 1, **fault})
            self.assertWhole(service.get(path))
            self.settle(service)
        self.assertEqual(self.cached(service), 1)  # equal bytes are stored once
        self.others_are_well(service)

    def test_silent_again_and_again(self) -> None:
        """An upstream whose connections all fall silent is asked on while it brings more."""
        service = self.launch()
        self.assertWhole(service.get(self.serve(silent_after=400_000)))
        self.others_are_well(service)

    def test_wrong_total(self) -> None:
        """A first answer with a wrong total is found out by the next one: cut, and begun anew."""
        service = self.launch()
        path = self.serve(range_total=SIZE + 5, times=1)
        self.broken(service, path)
        self.stored(service, path)
        self.others_are_well(service)

    def test_before_the_first_byte(self) -> None:
        """What fails before a byte was sent is tried again, then answered in one line."""
        service = self.launch([self.rule(strategy="proxy")])
        path = self.serve(silent_after=0)
        self.refused(service.get(path), 504)
        self.origin.script({path: {"size": SMALL, "short": SMALL, "times": 1}})
        self.assertEqual(len(service.get(path).body), SMALL)
        self.origin.script({"/never": {"size": SMALL, "short": SMALL}})
        self.refused(service.get("/never"), 502)
        self.others_are_well(service)


class UpstreamTests(FaultCase):
    """Upstreams that can't be had."""

    def test_not_to_be_had(self) -> None:
        """No TLS, no name, nobody there, a redirect loop, silence: each its own line."""
        plain = self.origin.url.removeprefix("http://")
        rules = [
            ("tls", f"https://{plain}", 502),
            ("name", "http://no-such-host.invalid", 502),
            ("down", "http://127.0.0.1:9", 502),
            ("loop", self.origin.url, 502),
            ("silent", self.origin.url, 504),
        ]
        self.origin.script({"/loop": {"redirect": f"{self.origin.url}/loop"}})
        self.origin.script({"/silent": {"size": SMALL, "silent_header": True}})
        service = self.launch(
            [
                *(
                    self.rule(name=name, path_prefix=f"/{name}", pattern=None, upstream=upstream)
                    for name, upstream, _ in rules
                ),
                self.rule(),
            ]
        )
        asked = [InBackground(service.get, f"/{name}") for name, _, _ in rules]
        for each, (_, _, status) in zip(asked, rules, strict=True):
            self.refused(each.result(), status)
        self.others_are_well(service)

    def test_busy(self) -> None:
        """429 and 503 are the upstream's word, Retry-After and all; it is obeyed, and not kept."""
        service = self.launch()
        for status in (429, 503):
            path = self.serve(f"/{status}", status=status, retry_after="2", times=1)
            reply = service.get(path)
            self.assertEqual((reply.status, reply.headers.get("Retry-After")), (status, "2"))
            self.assertWhole(service.get(path))

    def test_dies_midway(self) -> None:
        """An upstream that goes away midway: cut in the end, and gone on with when it is back."""
        service, path = self.launch(), self.serve(rate=500_000)
        running = InBackground(service.get, path)
        while self.origin.count(path).body_bytes < SIZE // 2:
            time.sleep(0.02)
        self.origin.program.kill()
        self.assertRaises(client.Broken, running.result)
        self.refused(service.get(path), 502)
        again = OriginProgram(self.folder / "again.log", 0, ["--port", str(self.origin.port)])
        self.addCleanup(again.program.kill)
        self.origin = again
        self.serve()
        self.assertWhole(service.get(path))
        self.assertLess(self.origin.count(path).body_bytes, SIZE * 0.65)
        self.others_are_well(service)

    def test_expiring_addresses(self) -> None:
        """Signed addresses are used for many pieces and renewed when they expire."""
        service = self.launch()
        signed = {"size": SIZE, "seed": 7, "needs_signature": True}
        first = {"redirect": f"{self.origin.url}/signed", "signs": True, "signed_uses": 4}
        self.origin.script({"/signed": signed, "/file.bin": first})
        self.assertWhole(service.get("/file.bin"))
        asked = self.origin.count("/file.bin").requests
        self.assertGreater(asked, 1)
        self.assertLess(asked, self.origin.count("/signed").requests / 2)
        self.others_are_well(service)

    def test_changes_midway(self) -> None:
        """Readers of an old version are cut; the new one is begun by itself, and kept whole."""
        service = self.launch()
        path = self.serve(rate=1_000_000, changes_at=5, next_seed=8)
        self.broken(service, path)
        after = self.stored(service, path)
        self.assertEqual(after.sha256, client.request(self.origin.port, path).sha256)
        self.others_are_well(service)

    def test_two_upstreams(self) -> None:
        """Ranges are drawn from both; when one is down the other one serves."""
        second = OriginProgram(self.folder / "second.log")
        self.addCleanup(second.program.kill)
        both = [self.origin.url, second.url]
        service, path = self.launch([self.rule(upstream=both)]), self.serve(rate=1_000_000)
        second.script({path: {"size": SIZE, "seed": 7, "rate": 1_000_000}})
        self.assertWhole(service.get(path))
        counts = [each.count(path).body_bytes for each in (self.origin, second)]
        self.assertGreater(min(counts), SIZE // 10, counts)
        self.assertLess(sum(counts), SIZE * 1.1)
        second.script({"/next.bin": {"size": SIZE, "seed": 7}})
        self.origin.program.kill()
        self.assertWhole(service.get("/next.bin"))


class DigestTests(FaultCase):
    """Bytes that are not what they should be."""

    def test_mismatch(self) -> None:
        """A wrong file is fetched twice, never served as complete, never kept, then refused."""
        rule = self.rule(digest=[{"algorithm": "sha256", "from": "header", "name": "X-Sum"}])
        service = self.launch([rule])
        right = hashlib.sha256(CONTENT).hexdigest()
        self.serve("/right.bin", headers=[["X-Sum", right]])
        self.assertWhole(service.get("/right.bin"))
        self.origin.script({"/small": {"size": SMALL, "headers": [["X-Sum", right]]}})
        self.refused(service.get("/small"), 502)
        self.assertEqual(self.origin.count("/small").requests, 2)
        self.refused(service.get("/small"), 502)
        self.assertEqual(self.origin.count("/small").requests, 2)
        self.serve("/big.bin", headers=[["X-Sum", "0" * 64]])
        self.broken(service, "/big.bin")
        self.refused(self.after_second_try(service, "/big.bin"), 502)
        self.assertEqual(self.cached(service), 1)
        self.others_are_well(service)

    def after_second_try(self, service: ServiceProgram, path: str) -> client.Reply:
        """What a client gets once the mirror, which tries again by itself, has given up."""
        while True:
            with contextlib.suppress(client.Broken):  # it has joined the second try
                return service.get(path)


class DiskTests(FaultCase):
    """Disks that are full or can't be written."""

    def limited(self, blocks: int) -> str:
        """A Python whose files can't grow beyond so many KiB, as on a full disk."""
        script = self.folder / "python"
        script.write_text(f'#!/bin/bash\nulimit -f {blocks}\nexec {sys.executable} "$@"\n')
        script.chmod(0o755)
        return str(script)

    def test_full(self) -> None:
        """What does not fit is streamed through, whole; what fits is cached."""
        service = self.launch(python=self.limited(4096))
        path = self.serve()
        for _ in range(2):
            self.assertWhole(service.get(path))
        self.origin.script({"/small": {"size": SMALL}})
        self.assertEqual(service.get("/small").status, 200)
        self.settle(service)
        self.assertEqual(service.get("/small").headers.get("X-Cache"), "HIT")
        unsized = self.serve("/unsized", ranges=False, framing="chunked")
        cut = self.assertRaises(client.Broken, service.get, unsized)
        self.assertTrue(CONTENT.startswith(cut.received))
        self.assertWhole(service.get(unsized))
        self.assertEqual(self.cached(service), 1)
        self.others_are_well(service)

    def test_small_cache(self) -> None:
        """A file larger than the cache is streamed through and evicts nothing."""
        cache = {"dir": str(self.folder / "cache"), "max_size_gb": 0.005}
        service, path = self.launch(cache=cache), self.serve()
        self.origin.script({"/small": {"size": SMALL}})
        service.get("/small")
        self.assertWhole(service.get(path))
        self.assertEqual(service.get("/small").headers.get("X-Cache"), "HIT")

    def test_read_only(self) -> None:
        """With a cache folder that can't be written all files are streamed through."""
        service, path = self.launch(), self.serve()
        parts = self.folder / "cache" / "parts"
        parts.rename(parts.with_name("gone"))
        parts.write_text("no folder")
        for _ in range(2):
            self.assertWhole(service.get(path))
        parts.unlink()
        self.assertWhole(service.get(path))
        self.settle(service)
        self.assertEqual(service.get(path).headers.get("X-Cache"), "HIT")


class DeathTests(FaultCase):
    """Processes that die."""

    def slow(
        self, service: ServiceProgram, share: float = 0.5, rate: int = 500_000
    ) -> tuple[str, InBackground]:
        """A download that has come so far."""
        path = self.serve(rate=rate)
        running = InBackground(service.get, path)
        while self.origin.count(path).body_bytes < SIZE * share:
            time.sleep(0.02)
        return path, running

    def test_all_killed_at_half(self) -> None:
        """kill -9 of everything at 50 %: hardly more than the missing half is fetched again."""
        path, running = self.slow(service := self.launch())
        service.program.kill()
        self.assertRaises(client.Broken, running.result)
        before = self.origin.count(path).body_bytes
        self.serve()
        self.assertWhole(self.launch().get(path))
        fetched = self.origin.count(path).body_bytes
        # What was in the sockets' buffers at the kill was sent, and reached nobody.
        allowance = REFETCHED * SIZE + 8 * 65_536
        self.assertLess(fetched, SIZE - before + allowance, f"{before} had been sent")

    def test_stopped_at_half(self) -> None:
        """A stop in order loses nothing either."""
        path, running = self.slow(service := self.launch(), 0.2, 250_000)
        service.program.stop()  # running answers get three seconds, this one needs five
        self.assertRaises(client.Broken, running.result)
        before = self.origin.count(path).body_bytes
        self.serve()
        self.assertWhole(self.launch().get(path))
        allowance = REFETCHED * SIZE + 8 * 65_536
        self.assertLess(self.origin.count(path).body_bytes, SIZE - before + allowance)

    def test_every_worker_killed(self) -> None:
        """kill -9 of all workers at once is not seen by the client."""
        path, running = self.slow(service := self.launch(), 0.2)
        for worker in service.program.children():
            os.kill(worker, signal.SIGKILL)
        self.assertWhole(running.result())
        self.assertLess(self.origin.count(path).body_bytes, SIZE * 1.4)
        self.others_are_well(service)


#: Makes the time of a Python program what a file says that it is off by.
CLOCK = """
import os, time
real = time.time
def stepped():
    with open(os.environ["TEST_CLOCK"]) as file:
        return real() + float(file.read() or 0)
time.time = stepped
"""


class ClockTests(FaultCase):
    """The system's clock is set while the service runs."""

    def test_set(self) -> None:
        """Set back or forward by an hour, a download goes on, and no time-out strikes."""
        (self.folder / "sitecustomize.py").write_text(CLOCK, "utf-8")
        clock = self.folder / "clock"
        clock.write_text("0")
        inherited = own_environment()
        path = f"{self.folder}{os.pathsep}{inherited['PYTHONPATH']}"
        environment = {**inherited, "PYTHONPATH": path, "TEST_CLOCK": str(clock)}
        service = self.launch(environment=environment)
        for step in ("-3600", "0", "3600"):
            path = self.serve(f"/clock{step}", rate=1_000_000, die_every=3)
            reply = InBackground(service.get, path)
            time.sleep(0.5)
            new = clock.with_suffix(".new")
            new.write_text(step)
            new.replace(clock)
            self.assertWhole(reply.result())
        self.others_are_well(service)


class LeakTests(FaultCase):
    """What two hundred downloads leave behind."""

    def descriptors(self, pid: int) -> int:
        folder = Path(f"/proc/{pid}/fd")
        if not folder.exists():
            raise SkipTest("this system does not tell which files a process has open")
        return len(list(folder.iterdir()))

    def test_descriptors(self) -> None:
        """After 200 downloads, good, broken and abandoned, no descriptor is left open."""
        rules = [self.rule(name="plain", path_prefix="/plain", strategy="proxy", pattern=None)]
        service = self.launch([*rules, self.rule()], cache=self.small_cache())
        faults = ({}, {"short": 100_000, "times": 1}, {"status": 500}, {"ranges": False})
        scripts = {}
        for number in range(200):
            path = f"{'/plain' if number % 2 else ''}/{number}.bin"
            fault = faults[number // 2 % len(faults)]
            scripts[path] = {"size": 1_500_000, "seed": 7, **fault}
        self.origin.script(scripts)
        asked = list(scripts)
        self.fetch_all(service, asked[:20])
        pids = [service.program.pid, *service.program.children()]
        before = [self.descriptors(pid) for pid in pids]
        self.fetch_all(service, asked[20:])
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            after = [self.descriptors(pid) for pid in pids]
            if all(a <= b + 16 for a, b in zip(after, before, strict=True)):
                break
            time.sleep(0.2)
        # Blobs read lately and idle connections to the origin are kept open, up to their bounds.
        for then, now in zip(before, after, strict=True):
            self.assertLessEqual(now, then + 16, (before, after))

    def small_cache(self) -> dict[str, Any]:
        """So small that most blobs are evicted, and with them their descriptors."""
        return {"dir": str(self.folder / "cache"), "max_size_gb": 0.012}

    def fetch_all(self, service: ServiceProgram, paths: list[str]) -> None:
        for start in range(0, len(paths), 20):
            for each in [InBackground(self.take, service, p) for p in paths[start : start + 20]]:
                each.result()

    def take(self, service: ServiceProgram, path: str) -> None:
        try:
            service.get(path)
        except client.Broken:
            return
