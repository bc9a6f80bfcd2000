"""Which package and version a stored URL is of."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.config import load
from aimirror.ecosystems.packaged import Package
from aimirror.ecosystems.registry import BY_NAME, WORLDS, package

#: World, package and version ("-" for none), and a URL as it is stored.
URLS = """
pypi django 5.0.1 https://files.pythonhosted.org/packages/a/b/c/Django-5.0.1.tar.gz
pypi torch 2.9.1+cpu https://files.pythonhosted.org/packages/a/torch-2.9.1%2Bcpu-cp311-cp311-linux_x86_64.whl
pypi typing-extensions 4.1 https://files.pythonhosted.org/p/typing_extensions-4.1-py3-none-any.whl.metadata
pypi numpy - https://pypi.org/simple/numpy/
oci library/nginx 1.27 https://registry-1.docker.io/v2/library/nginx/manifests/1.27
oci library/nginx - https://registry-1.docker.io/v2/library/nginx/blobs/sha256:00
oci ghcr.io/owner/name - https://ghcr.io/v2/owner/name/manifests/sha256:00
huggingface owner/name main https://huggingface.co/owner/name/resolve/main/a/b.bin
huggingface datasets/o/n refs/pr/1 https://huggingface.co/datasets/o/n/resolve/refs%2Fpr%2F1/x
huggingface owner/name main https://huggingface.co/api/models/owner/name/revision/main
huggingface datasets/o/n main https://huggingface.co/api/datasets/o/n/tree/main
npm @types/node 22.1.0 https://registry.npmjs.org/@types/node/-/node-22.1.0.tgz
npm left-pad 1.3.0-rc.1 https://r.test/npm/left-pad/-/left-pad-1.3.0-rc.1.tgz
npm @types/node - https://registry.npmjs.org/@types%2fnode
npm left-pad - https://registry.npmjs.org/left-pad
conda numpy-base 2.1.0 https://c.test/conda-forge/linux-64/numpy-base-2.1.0-py311h_0.conda
cran data.table 1.15.4 https://cran.r-project.org/src/contrib/data.table_1.15.4.tar.gz
maven org.slf4j:slf4j-api 2.0.13 https://repo1.maven.org/maven2/org/slf4j/slf4j-api/2.0.13/slf4j-api-2.0.13.jar
maven org.slf4j:slf4j-api - https://repo1.maven.org/maven2/org/slf4j/slf4j-api/maven-metadata.xml
apt curl 7.88.1-10 https://deb.debian.org/debian/pool/main/c/curl/curl_7.88.1-10_amd64.deb
go github.com/BurntSushi/toml v1.4.0 https://proxy.golang.org/github.com/!burnt!sushi/toml/@v/v1.4.0.zip
go golang.org/x/net - https://proxy.golang.org/golang.org/x/net/@v/list
cargo serde 1.0.200 https://static.crates.io/crates/serde/serde-1.0.200.crate
cargo serde 1.0.200 https://crates.io/api/v1/crates/serde/1.0.200/download
cargo serde - https://index.crates.io/se/rd/serde
rubygems nokogiri 1.16.0 https://rubygems.org/gems/nokogiri-1.16.0-x86_64-linux.gem
rubygems rack - https://rubygems.org/info/rack
apk ca-certificates 20240705-r0 https://a.test/v3.20/main/x86_64/ca-certificates-20240705-r0.apk
rpm curl-minimal 8.6.0-8.fc40 https://f.test/Packages/c/curl-minimal-8.6.0-8.fc40.x86_64.rpm
homebrew wget 1.24.5 https://ghcr.io/v2/homebrew/core/wget/manifests/1.24.5
github owner/name v1.2 https://github.com/owner/name/releases/download/v1.2/x.zip
github owner/name - https://github.com/owner/name.git/info/refs
helm ingress-nginx 4.10.1 https://charts.test/ingress-nginx-4.10.1.tgz
nuget serilog 4.0.0 https://api.nuget.org/v3-flatcontainer/serilog/4.0.0/serilog.4.0.0.nupkg
terraform terraform-provider-aws 5.0.0 https://releases.hashicorp.com/terraform-provider-aws/5.0.0/terraform-provider-aws_5.0.0_linux_amd64.zip
composer monolog/monolog - https://repo.packagist.org/p2/monolog/monolog.json
pub path 1.9.0 https://pub.dev/api/archives/path-1.9.0.tar.gz
hex jason 1.4.1 https://repo.hex.pm/tarballs/jason-1.4.1.tar
jsr @std/path 1.0.0 https://jsr.io/@std/path/1.0.0/mod.ts
julia 7876af07-990d-54b4-ab0e-23690620f79a b4ac https://pkg.julialang.org/package/7876af07-990d-54b4-ab0e-23690620f79a/b4ac
cpan Moose 2.2207 https://cpan.test/authors/id/E/ET/ETHER/Moose-2.2207.tar.gz
luarocks lpeg 1.1.0-2 https://luarocks.org/lpeg-1.1.0-2.src.rock
conan zlib 1.3.1 https://c.test/v2/conans/zlib/1.3.1/_/_/revisions/0/files/x
hackage aeson 2.2.3.0 https://hackage.haskell.org/package/aeson-2.2.3.0/aeson-2.2.3.0.tar.gz
modelscope owner/name master https://modelscope.cn/models/owner/name/resolve/master/x.bin
pytorch resnet50 0676ba61 https://download.pytorch.org/models/resnet50-0676ba61.pth
astral astral-sh/uv 0.5.0 https://github.com/astral-sh/uv/releases/download/0.5.0/uv.tar.gz
nodejs node v22.1.0 https://nodejs.org/dist/v22.1.0/node-v22.1.0-linux-x64.tar.xz
rust rust-std 1.78.0 https://static.rust-lang.org/dist/2024-05-02/rust-std-1.78.0-x86_64.tar.xz
cocoapods AFNetworking 4.0.1 https://cdn.cocoapods.org/Specs/a/7/5/AFNetworking/4.0.1/AFNetworking.podspec.json
swift apple/swift-log 1.5.3 https://tuist.dev/api/registry/swift/apple/swift-log/1.5.3.zip
playwright chromium 1117 https://cdn.playwright.dev/builds/chromium/1117/chromium-linux.zip
"""
ROWS = [
    (world, name, version.removeprefix("-"), url)
    for world, name, version, url in map(str.split, filter(None, URLS.splitlines()))
]
#: Names of files there say nothing of packages.
NAMELESS = {"nix", "models", "vcpkg"}


class PackagedTests(SynchronousTestCase):
    def test_urls(self) -> None:
        """Each world knows its packages by the URLs of their files and pages."""
        for world, name, version, url in ROWS:
            read = BY_NAME[world].package
            assert read is not None, world
            self.assertEqual(read(url + "?signature=1"), Package(name, version), url)

    def test_all_worlds(self) -> None:
        """No world is left out but those whose files have no names."""
        named = {world for world, *_ in ROWS}
        self.assertEqual({world.name for world in WORLDS}, named | NAMELESS)
        self.assertEqual({world.name for world in WORLDS if world.package is None}, NAMELESS)

    def test_by_rules(self) -> None:
        """A rule that names its world is read by that one alone; of others, the URL decides."""
        _, name, version, url = next(row for row in ROWS if row[0] == "go")
        self.assertEqual(package("", url), ("go", Package(name, version)))
        self.assertIsNone(package("cran", url))
        self.assertIsNone(package("", "https://h.test/some/file"))
        self.assertIsNone(package("pypi", "https://h.test/" + "a" * 100_000))

    def test_time(self) -> None:
        """No name of a file keeps the reader busy: it is bounded, and so are the steps."""
        for rule in load(None, {}).rules:
            for evil in ("-1" * 480, "/-" * 480, "_." * 480, "a/" * 480):
                package(rule.ecosystem, "https://h.test/" + evil)
