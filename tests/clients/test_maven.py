"""Maven through the maven preset: a parent pom and a build extension, resolved from the mirror."""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from pathlib import Path

from twisted.trial.unittest import SkipTest

from aimirror.testing.behaviour import pattern
from aimirror.testing.site import Asked, File
from tests.clients.worlds import ROOT, WorldTests, find_client

POM = """<project><modelVersion>4.0.0</modelVersion>{parent}
<groupId>g</groupId><artifactId>{name}</artifactId><version>{version}</version>
<packaging>{packaging}</packaging>{more}</project>"""
PARENT = """<parent><groupId>g</groupId><artifactId>parent</artifactId><version>{version}</version>
<relativePath/></parent>"""
EXTENSION = """<build><extensions><extension><groupId>g</groupId><artifactId>ext</artifactId>
<version>1.0</version></extension></extensions></build>"""
SETTINGS = """<settings><localRepository>{local}</localRepository><mirrors><mirror><id>m</id>
<mirrorOf>*</mirrorOf><url>{url}</url></mirror></mirrors>{more}</settings>"""

DEPENDENCY = """<dependencies><dependency><groupId>junit</groupId><artifactId>junit</artifactId>
<version>4.x</version></dependency></dependencies>"""
PLUGIN = """<build><plugins><plugin><artifactId>maven-dependency-plugin</artifactId>
<version>{version}</version></plugin></plugins></build>"""

#: Plugins that Maven 3.8 has for every project.
BOUND = (
    ("maven-clean-plugin", "2.5"),
    ("maven-deploy-plugin", "2.7"),
    ("maven-install-plugin", "2.4"),
    ("maven-site-plugin", "3.3"),
)
HAMCREST = "org/hamcrest/hamcrest/debian/hamcrest-debian.jar"

#: A real Maven repository, filled by Debian's packages of Java libraries.
DEBIAN_REPOSITORY = Path("/usr/share/maven-repo")
ARTIFACT = "commons-io:commons-io:2.11.0"


class MavenCase(WorldTests):
    def setUp(self) -> None:
        super().setUp()
        self.start({"preset": "maven", "upstream": self.upstream.url, "chunk_size": 300_000})
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as jar:
            jar.writestr("data.bin", pattern(1_500_000, 5))
        self.jar = out.getvalue()
        self.put("/g/ext/1.0/ext-1.0.jar", self.jar)
        self.put("/g/ext/1.0/ext-1.0.pom", self.pom("ext", "1.0", "jar"))
        self.put("/g/parent/1.0/parent-1.0.pom", self.pom("parent", "1.0", "pom"))

        # Maven adds this to whatever extends it.
        utils = "/org/codehaus/plexus/plexus-utils/1.1/plexus-utils-1.1"
        self.put(f"{utils}.jar", self.jar)
        pom = self.pom("plexus-utils", "1.1", "jar")
        self.put(f"{utils}.pom", pom.replace(b">g<", b">org.codehaus.plexus<"))

    def pom(self, name: str, version: str, packaging: str) -> bytes:
        fields = {"name": name, "version": version, "packaging": packaging}
        return POM.format(parent="", more="", **fields).encode()

    def put(self, path: str, content: bytes) -> None:
        self.upstream.put(path, content)
        sha1 = hashlib.sha1(content).hexdigest()
        self.upstream.put(f"{path}.sha1", sha1.encode(), "text/plain")


class MavenTests(MavenCase):
    def project(self, name: str, parent: str = "1.0", more: str = "") -> list[str]:
        """The command that builds a project with an empty local repository."""
        folder = self.fresh(name)
        fields = {"name": "p", "version": "1", "packaging": "pom", "more": EXTENSION}
        text = POM.format(parent=PARENT.format(version=parent), **fields)
        (folder / "pom.xml").write_text(text)
        url = f"{self.mirror}/maven2"
        settings = SETTINGS.format(local=folder / "m2", url=url, more=more)
        (folder / "settings.xml").write_text(settings)
        words = ["-B", "-C", "-s", "settings.xml", "-f", str(folder / "pom.xml"), "validate"]
        return [find_client("mvn"), *words]

    def folder_of(self, command: list[str]) -> Path:
        return Path(command[command.index("-f") + 1]).parent

    def test_maven(self) -> None:
        """Maven resolves with strict checksums; again without a byte, and with no upstream."""
        for turn in ("first", "second", "dead"):
            before = len(self.upstream.requests)
            if turn == "dead":
                self.upstream.stop()
            command = self.project(turn)
            self.assertRuns(command, self.folder_of(command))
            local = self.folder_of(command) / "m2/g/ext/1.0/ext-1.0.jar"
            self.assertEqual(local.read_bytes(), self.jar)
            self.assertKept(self.jar)
            if turn != "first":
                self.assertEqual(self.upstream.requests[before:], [])

    def test_corrupt(self) -> None:
        """An artefact that differs from its sha1 is neither used nor kept."""
        self.upstream.spoil("/g/ext/1.0/ext-1.0.jar")
        command = self.project("bad")
        self.assertFails(command, self.folder_of(command))
        self.assertNotKept(self.upstream.files["/g/ext/1.0/ext-1.0.jar"].content)

    def snapshot(self, number: int) -> bytes:
        """Publish a build of a parent that is not released; its pom."""
        build = f"20240101.00000{number}-{number}"
        pom = self.pom("parent", "2-SNAPSHOT", "pom") + f"<!-- {number} -->".encode()
        folder = "/g/parent/2-SNAPSHOT"
        self.put(f"{folder}/parent-2-{build}.pom", pom)
        stamp, moment = build.partition("-")[0], f"2024010100000{number}"
        self.put(
            f"{folder}/maven-metadata.xml",
            f"<metadata><groupId>g</groupId><artifactId>parent</artifactId>"
            f"<version>2-SNAPSHOT</version><versioning><snapshot><timestamp>{stamp}</timestamp>"
            f"<buildNumber>{number}</buildNumber></snapshot><lastUpdated>{moment}</lastUpdated>"
            f"<snapshotVersions><snapshotVersion><extension>pom</extension><value>2-{build}</value>"
            f"<updated>{moment}</updated></snapshotVersion></snapshotVersions></versioning>"
            "</metadata>".encode(),
        )
        return pom

    def test_snapshot(self) -> None:
        """A new build of a snapshot is followed; it is there with no upstream."""
        own = (
            "<profiles><profile><id>s</id><repositories><repository><id>s</id><url>http://s</url>"
            "<snapshots><enabled>true</enabled></snapshots></repository></repositories></profile>"
            "</profiles><activeProfiles><activeProfile>s</activeProfile></activeProfiles>"
        )
        for turn in ("1", "2", "dead"):
            if turn == "dead":
                self.settle()
                self.upstream.stop()
            else:
                pom = self.snapshot(int(turn))
            command = self.project(f"snapshot-{turn}", parent="2-SNAPSHOT", more=own)
            self.assertRuns(command, self.folder_of(command))
            local = self.folder_of(command) / "m2/g/parent/2-SNAPSHOT/parent-2-SNAPSHOT.pom"
            self.assertEqual(local.read_bytes(), pom)
            if turn == "1":
                self.purge("/maven2/g/parent/2-SNAPSHOT/maven-metadata.xml")

    def test_page(self) -> None:
        """An HTML page in an artefact's place is a failure that is not remembered."""
        path, page = "/g/parent/1.0/parent-1.0.pom", b"<html>log in</html>"
        right = self.upstream.files[path].content
        self.upstream.put(path, page, "text/html")
        self.assertEqual(self.service.get(f"/maven2{path}").status, 502)
        self.upstream.put(path, right)
        self.assertEqual(self.service.get(f"/maven2{path}").body, right)

    def test_sidecar_in_step(self) -> None:
        """The checksum of metadata is that of the metadata which the mirror gives out."""
        path = "/maven2/g/ext/maven-metadata.xml"
        self.put("/g/ext/maven-metadata.xml", b"<metadata>1</metadata>")
        self.assertEqual(self.service.get(path).body, b"<metadata>1</metadata>")
        self.upstream.put("/g/ext/maven-metadata.xml.sha1", b"0" * 40, "text/plain")
        told = self.service.get(f"{path}.sha1").body.decode()
        self.assertEqual(told, hashlib.sha1(b"<metadata>1</metadata>").hexdigest())

    def test_absent(self) -> None:
        """What the upstream does not have is 404 to Maven, too."""
        self.assertEqual(self.service.get("/maven2/g/none/1/none-1.pom").status, 404)


class DependencyTests(WorldTests):
    """``mvn dependency:get`` with an empty ~/.m2: its plugin, too, comes through the mirror."""

    GOAL = "org.apache.maven.plugins:maven-dependency-plugin:{version}:get"

    def setUp(self) -> None:
        super().setUp()
        self.mvn = find_client("mvn")
        plugin = DEBIAN_REPOSITORY / "org/apache/maven/plugins/maven-dependency-plugin"
        versions = sorted(p.parent.name for p in plugin.glob("*/*.jar"))
        if not versions or not (DEBIAN_REPOSITORY / "junit/junit/4.x/junit-4.x.jar").exists():
            raise SkipTest("libmaven-dependency-plugin-java and junit4 are not both installed")
        self.goal = self.GOAL.format(version=versions[-1])
        self.upstream.fallback = self.published
        self.start({"preset": "maven", "upstream": f"{self.upstream.url}/repo"})

    def published(self, asked: Asked) -> File | None:
        """A file of the repository that Debian's packages share, or its checksum."""
        path = asked.target.removeprefix("/repo/")
        found = DEBIAN_REPOSITORY / path.removesuffix(".sha1")
        if ".." in path or not found.is_file():
            return None
        content = found.read_bytes()
        if path.endswith(".sha1"):
            return File(hashlib.sha1(content).hexdigest().encode(), "text/plain")
        return File(content, etag=f'"{len(content)}"')

    def command(self, name: str) -> list[str]:
        folder = self.fresh(name)
        settings = SETTINGS.format(local=folder / "m2", url=f"{self.mirror}/maven2", more="")
        (folder / "settings.xml").write_text(settings)
        # No settings of this machine: Debian's own would look into the folder by itself.
        files = ["-s", str(folder / "settings.xml"), "-gs", str(folder / "settings.xml")]
        wanted = f"-Dartifact={ARTIFACT}"
        return [self.mvn, "-B", "-C", *files, self.goal, wanted]

    def test_get(self) -> None:
        """It resolves with strict checksums; again without a byte, and with no upstream."""
        for turn in ("first", "second", "dead"):
            self.settle()
            before = len(self.upstream.requests)
            if turn == "dead":
                self.upstream.stop()
            self.assertRuns(self.command(turn))
            jars = list((self.folder / turn / "m2").rglob("*.jar"))
            self.assertGreater(len(jars), 20)
            if turn == "first":
                self.assertGreater(len(self.upstream.requests), 2 * len(jars))
            else:
                files = [a.target for a in self.upstream.requests[before:]]
                self.assertEqual([f for f in files if not f.endswith("metadata.xml")], [])

    def prefetch(self) -> str:
        """What ``aimirror prefetch pom.xml`` says of a project with a dependency."""
        version = self.goal.rpartition(":")[0].rpartition(":")[2]
        fields = {"name": "p", "version": "1", "packaging": "pom", "parent": ""}
        text = POM.format(more=DEPENDENCY + PLUGIN.format(version=version), **fields)
        file = self.folder / "pom.xml"
        file.write_text(text)
        command = [sys.executable, "-m", "aimirror", "prefetch", "--url", self.mirror]
        words = ["--config", str(self.service.config), str(file)]
        said = self.assertRuns([*command, *words], PYTHONPATH=str(ROOT))
        self.assertIn(" 0 failed", said)
        self.settle()
        self.upstream.stop()
        for path in ("junit/junit/4.x/junit-4.x.jar", HAMCREST):
            self.assertEqual(self.service.get(f"/maven2/{path}").status, 200, path)
        return said

    def test_prefetched(self) -> None:
        """``aimirror prefetch pom.xml`` brings what a build needs, and what that needs in turn."""
        group = "org.apache.maven.plugins"
        for name, version in BOUND:
            text = POM.format(name=name, version=version, packaging="jar", parent="", more="")
            base = f"/repo/{group.replace('.', '/')}/{name}/{version}/{name}-{version}"
            for ending in ("pom", "jar"):
                content = text.replace(">g<", f">{group}<").encode()
                self.upstream.put(f"{base}.{ending}", content)
                sha1 = hashlib.sha1(content).hexdigest()
                self.upstream.put(f"{base}.{ending}.sha1", sha1.encode(), "text/plain")
        self.assertNotIn("not all can be had", self.prefetch())

    def test_plugin_missing(self) -> None:
        """A plugin that can't be had is said, and the dependencies come all the same."""
        said = self.prefetch()
        self.assertIn("of its plugins not all can be had", said)
        self.assertRegex(said, "maven-(clean|deploy|install|site)-plugin")


BUILD = """configurations { wanted }
repositories { mavenCentral() }
dependencies { wanted 'g:ext:1.0' }
task fetch { doLast { copy { from configurations.wanted; into 'out' } } }
"""


class GradleTests(MavenCase):
    """Gradle after ``aimirror setup gradle``."""

    def client(self, turn: str) -> tuple[list[str], Path]:
        """A command with a new home, and where it puts what it has fetched."""
        folder = self.fresh(turn)
        (folder / "build.gradle").write_text(BUILD)
        (folder / "settings.gradle").touch()
        write = ["-m", "aimirror", "setup", "gradle", "--url", self.mirror, "--write"]
        own = {"HOME": str(folder), "PYTHONPATH": str(ROOT)}
        self.assertRuns([sys.executable, *write], folder, **own)
        home = str(folder / ".gradle")
        words = ["--no-daemon", "-q", "-g", home, "-p", str(folder), "fetch"]
        return [find_client("gradle"), *words], folder / "out/ext-1.0.jar"

    def test_gradle(self) -> None:
        """Gradle resolves; again without a byte of a jar, and with no upstream."""
        for turn in ("first", "second", "dead"):
            before = self.upstream.total(".jar")
            if turn == "dead":
                self.upstream.stop()
            command, jar = self.client(turn)
            self.assertRuns(command)
            self.assertEqual(jar.read_bytes(), self.jar)
            self.assertKept(self.jar)
            if turn != "first":
                self.assertEqual(self.upstream.total(".jar"), before)

    def test_damaged_jar(self) -> None:
        """A jar that differs from its sha1 is neither used nor kept."""
        self.upstream.spoil("/g/ext/1.0/ext-1.0.jar")
        command, jar = self.client("bad")
        self.assertFails(command)
        self.assertFalse(jar.exists())
        self.assertNotKept(self.upstream.files["/g/ext/1.0/ext-1.0.jar"].content)
