"""The smallest Ceph that gives S3: a monitor, one disk in memory, and radosgw, all on loopback."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
import uuid
from hashlib import sha256

from aimirror.http.headers import Headers
from aimirror.tier.sigv4 import Secret, signed
from tests.clients.worlds import find_client
from tests.e2e.engines import CREDENTIALS, EnginesCase
from tests.e2e.test_balancers import free_port

#: Seconds until Ceph has made the pools that radosgw needs.
PATIENCE = 100
#: ``tcp_nodelay``: without it each request takes 44 ms.
_CONFIG = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{monitor}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
ms mon client mode = crc
auth cluster required = none
auth service required = none
auth client required = none
run dir = {folder}
admin socket = {folder}/$name.sock
log file = {folder}/$name.log
pid file = {folder}/$name.pid
mon data = {folder}/mon
mon data avail crit = 0
mon allow pool size one = true
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 1073741824
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd crush chooseleaf type = 0
[client]
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
"""


class CephCase(EnginesCase):
    """Nodes before radosgw; skips where a program of Ceph is missing."""

    def start_store(self) -> int:
        """radosgw with the bucket of the nodes; its port."""
        monitor, disk, gateway = map(find_client, ("ceph-mon", "ceph-osd", "radosgw"))
        folder = self.folder / "ceph"
        for name in ("mon", "osd"):
            (folder / name).mkdir(parents=True)
        port, fsid, number = free_port(), str(uuid.uuid4()), str(uuid.uuid4())
        at = free_port()
        self.config = folder / "ceph.conf"
        self.config.write_text(_CONFIG.format(folder=folder, fsid=fsid, monitor=at, port=port))
        monmap = str(folder / "monmap")
        where = ("--addv", "a", f"[v2:127.0.0.1:{at}]")
        self.do("monmaptool", "--create", *where, "--fsid", fsid, monmap)
        self.do("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap)
        self.run_program(monitor, "-c", str(self.config), "-i", "a", "-f")
        self.do("ceph", "osd", "new", number, "0")
        self.do("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", number)
        self.run_program(disk, "-c", str(self.config), "-i", "0", "-f")
        access, secret = CREDENTIALS.values()
        user = ("--uid=mirror", "--display-name=mirror")
        key = (f"--access-key={access}", f"--secret-key={secret}")
        self.do("radosgw-admin", "user", "create", *user, *key)
        self.run_program(gateway, "-c", str(self.config), "-n", "client.rgw", "-f")
        self.until_open(port)
        self.make_bucket(f"http://127.0.0.1:{port}/mirror")
        return port

    def do(self, name: str, *words: str) -> None:
        """A command of Ceph's that ends by itself."""
        where = [] if name == "monmaptool" else ["-c", str(self.config)]
        done = subprocess.run(
            [find_client(name), *where, *words],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def make_bucket(self, url: str) -> None:
        empty = sha256(b"").hexdigest()
        secret = Secret(*CREDENTIALS.values())
        fields = signed(secret, "us-east-1", "PUT", url, Headers(), empty)
        asked = urllib.request.Request(url, b"", dict(fields.items), method="PUT")
        with urllib.request.urlopen(asked, timeout=PATIENCE) as reply:
            self.assertEqual(reply.status, 200)
