"""What ``aimirror tier check`` says of real stores: a good one, and two that do less."""

from __future__ import annotations

from tests.clients.worlds import find_client
from tests.e2e.engines import CREDENTIALS, ENVIRONMENT, EnginesCase
from tests.e2e.test_balancers import free_port


class StoresTests(EnginesCase):
    def assert_refused(self, said: str, *reasons: str) -> None:
        """It can't be used, for all of these reasons."""
        for reason in reasons:
            self.assertIn(f" NO  {reason}", said)
        self.assertIn("this store can't be used: it is not so that", said)

    def test_seaweedfs(self) -> None:
        """SeaweedFS does all that is asked; a wrong secret is told of, and not shown."""
        port = self.start_store()
        status, said = self.tier_command("check", port)
        self.assertEqual((status, "NO" in said.split()), (0, False), said)
        status, said = self.tier_command("check", port, AWS_SECRET_ACCESS_KEY="wrong-and-secret")
        self.assertEqual(status, 1)
        self.assertIn("403", said)
        self.assertNotIn("wrong-and-secret", said)

    def test_rclone(self) -> None:
        """rclone as a server answers a range with 200."""
        port = free_port()
        folder = self.folder / "store"
        (folder / "mirror").mkdir(parents=True)
        key = f"{CREDENTIALS['AWS_ACCESS_KEY_ID']},{CREDENTIALS['AWS_SECRET_ACCESS_KEY']}"
        words = ["serve", "s3", f"--addr=127.0.0.1:{port}", f"--auth-key={key}", str(folder)]
        self.run_program(find_client("rclone", ENVIRONMENT), *words, RCLONE_CONFIG="/dev/null")
        self.until_open(port)
        status, said = self.tier_command("check", port)
        self.assertEqual(status, 1, said)
        self.assert_refused(said, "answers a range with 206")

    def test_s3rver(self) -> None:
        """s3rver lets strangers in, and keeps half of an upload that broke off."""
        port = free_port()
        words = ["-d", str(self.folder), "-a", "127.0.0.1", "-p", str(port)]
        self.run_program(find_client("s3rver", "js"), *words, "--configure-bucket", "mirror")
        self.until_open(port)
        secret = {"AWS_ACCESS_KEY_ID": "S3RVER", "AWS_SECRET_ACCESS_KEY": "S3RVER"}
        status, said = self.tier_command("check", port, **secret)
        self.assertEqual(status, 1, said)
        self.assert_refused(
            said,
            "refuses wrong and missing credentials",
            "keeps nothing of an upload that broke off",
        )
