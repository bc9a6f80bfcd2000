"""Registries that lose blobs, hang or limit: skopeo, podman, containerd and docker pull on."""

from __future__ import annotations

import http.server
import shutil
import threading
import time

from tests.clients.oci_clients import Client, Cri, Ctr, Docker, Podman, Skopeo
from tests.clients.oci_support import OciTests

NAME = "library/app"
#: Seconds for three pulls of a cached tag: one that waits for a silent registry costs 30.
PROMPT = 25.0


class Stubborn(http.server.ThreadingHTTPServer):
    """A registry's place taken by one that says nothing, or that it wants to be left alone."""

    daemon_threads = True

    def __init__(self, port: int, *, hangs: bool) -> None:
        self.asked: list[str] = []
        self.over = threading.Event()
        stubborn = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stubborn.asked.append(f"{self.command} {self.path}")
                if hangs:
                    stubborn.over.wait()
                    return
                self.send_response(429)
                self.send_header("Retry-After", "3600")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", port), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()


class EachClient:
    """One property, tried with each client."""

    def tried(self, kind: type[Client]) -> None:
        raise NotImplementedError

    def test_skopeo(self) -> None:
        """skopeo."""
        self.tried(Skopeo)

    def test_podman(self) -> None:
        """podman."""
        self.tried(Podman)

    def test_containerd(self) -> None:
        """ctr."""
        self.tried(Ctr)

    def test_cri(self) -> None:
        """A kubelet's containerd."""
        self.tried(Cri)

    def test_docker(self) -> None:
        """docker."""
        self.tried(Docker)


class MissingBlobTests(EachClient, OciTests):
    """A tag moves to an image of which the registry has lost a layer."""

    def tried(self, kind: type[Client]) -> None:
        """The client gets the last whole image, and the new one once it is whole."""
        upstream = self.registry()
        first, second = self.image("first", 1, 2), self.image("second", 2, 3)
        first.push(upstream.port, f"{NAME}:latest")
        service = self.mirror(upstream.url)
        pull = kind(self, service.port).pull
        self.assertEqual(pull("first"), first.digest)
        self.settle(service)
        second.push(upstream.port, f"{NAME}:latest")
        name = second.layers[1]["digest"].partition(":")[2]
        (stored,) = self.folder.glob(f"registry/data/**/blobs/sha256/{name[:2]}/{name}")
        shutil.move(stored, self.folder / "lost")
        upstream.restart_counts()
        for step in ("missing", "again"):
            self.assertEqual(pull(step), first.digest)
        self.assertLessEqual(len([path for _, path, _, _ in upstream.asked() if name in path]), 2)
        shutil.move(self.folder / "lost", stored)
        service.program.stop()  # or the mirror would not look for it again for a while
        self.mirror(upstream.url, server={"port": service.port})
        self.assertEqual(pull("whole"), second.digest)


class StubbornTests(EachClient, OciTests):
    """A registry that hangs or limits, and a tag that is stored."""

    def tried(self, kind: type[Client]) -> None:
        """Pulls are prompt all the same, and leave the registry alone."""
        upstream = self.registry()
        image = self.image("image", 1)
        image.push(upstream.port, f"{NAME}:latest")
        service = self.mirror(upstream.url)
        pull = kind(self, service.port).pull
        self.assertEqual(pull("before"), image.digest)
        self.settle(service)
        upstream.kill()
        for hangs in (False, True):
            stubborn = Stubborn(upstream.port, hangs=hangs)
            self.addCleanup(stubborn.over.set)
            begun = time.monotonic()
            for number in range(3):
                self.assertEqual(pull(f"{hangs}{number}"), image.digest)
            self.assertLess(time.monotonic() - begun, PROMPT)
            self.assertLessEqual(len(stubborn.asked), 4, stubborn.asked)
            stubborn.close()
