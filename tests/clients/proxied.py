"""What tests of clients behind a proxy share: TLS upstreams, their trust, our authority."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization

from aimirror.forward import authority
from aimirror.forward.authority import CERTIFICATE
from aimirror.testing.processes import ServiceProgram, own_environment
from aimirror.testing.site import Site
from tests.clients.worlds import WorldTests


class ProxiedTests(WorldTests):
    """``self.trust`` is what upstreams' certificates are judged by, ``self.ca`` our authority's."""

    def setUp(self) -> None:
        super().setUp()
        upstream = authority.make(["localhost"], authority.now())
        leaf = upstream.leaf("localhost", authority.now())
        self.trust = self.folder / "upstream.pem"
        self.trust.write_bytes(upstream.pem)
        both = self.folder / "site.pem"
        both.write_bytes(
            leaf.certificate.public_bytes(serialization.Encoding.PEM)
            + leaf.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(both)
        self.ca = self.folder / "ca" / CERTIFICATE

    def secure(self) -> Site:
        """Another upstream, with TLS."""
        site = Site(tls=self.tls)
        site.start()
        self.addCleanup(site.stop)
        return site

    def serve(
        self,
        rules: Sequence[Mapping[str, Any]],
        *,
        intercept: bool = False,
        environment: Mapping[str, str] | None = None,
        server: Mapping[str, Any] | None = None,
        **forward: Any,
    ) -> ServiceProgram:
        """The service, which trusts the upstreams; with an authority where it intercepts."""
        given = {"ca_dir": str(self.ca.parent), "intercept": intercept, **forward}
        if intercept and not self.ca.exists():
            file = self.folder / "ca.yaml"
            file.write_text(f"rules: {list(map(dict, rules))!r}".replace("True", "true"))
            folder = str(self.ca.parent)
            subprocess.run(
                [sys.executable, "-m", "aimirror", "ca", "init", "-c", str(file), "--dir", folder],
                env=own_environment(),
                check=True,
                capture_output=True,
                timeout=30,
            )
        around = {**own_environment(), "SSL_CERT_FILE": str(self.trust), **(environment or {})}
        service = ServiceProgram(
            self.folder, rules, environment=around, server=server, forward=given
        )
        self.addCleanup(service.program.kill)
        self.service = service
        self.mirror = f"http://127.0.0.1:{service.port}"
        return service

    def through(self, trust: Path, **more: str) -> dict[str, str]:
        """The environment of a client that has the service for a proxy, and trusts ``trust``."""
        proxies = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "http_proxy"), self.mirror)
        # requests puts its own variable before what pip was told
        trusting = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
        trusting += ("GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS")
        return {
            **proxies,
            "NO_PROXY": "",
            "PIP_CONFIG_FILE": os.devnull,
            **dict.fromkeys(trusting, str(trust)),
            "PATH": os.environ.get("PATH", ""),
            **more,
        }
