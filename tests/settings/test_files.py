"""Settings go into files taken from life: what is meant changes, all other lines stay."""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems.registry import setting
from aimirror.settings.patching import Conflict, taken_back

URL = "http://mirror:8081"
OTHER = "https://other.example"

PIP = (
    (
        "[global]\ntimeout = 60\nindex-url = https://pypi.tuna.tsinghua.edu.cn/simple\n"
        "trusted-host = pypi.tuna.tsinghua.edu.cn\n\n[install]\nuse-mirrors = true\n",
        ("index-url = https://pypi.tuna.tsinghua.edu.cn/simple",),
        (f"index-url = {URL}/simple", "    mirror:8081"),
    ),
    (
        "# company settings\n[global]\ntrusted-host =\n    nexus.company\n    gitlab.company\n"
        "extra-index-url = https://nexus.company/simple\n; end\n",
        (),
        (f"index-url = {URL}/simple", "    mirror:8081"),
    ),
    (
        "[global]\nindex_url: https://user:secret@nexus.company/simple\ncert = /etc/ca.pem\n",
        ("index_url: https://user:secret@nexus.company/simple",),
        (f"index-url = {URL}/simple", "trusted-host = mirror:8081"),
    ),
    (
        "[install]\nno-binary = :all:\n[list]\nformat = columns\n",
        (),
        ("", "[global]", f"index-url = {URL}/simple", "trusted-host = mirror:8081"),
    ),
    (
        f"[global]\nindex-url = {URL}/simple\ntrusted-host = a b mirror:8081\nno-cache-dir = 0\n",
        (),
        (),
    ),
)

UV = (
    ('[pip]\nindex-strategy = "unsafe-best-match"  # two indexes\n', (), None),
    (
        'index-url = "https://mirrors.aliyun.com/pypi/simple"\nextra-index-url = ["https://n/simple"]\n',
        ('index-url = "https://mirrors.aliyun.com/pypi/simple"',),
        (f'index-url = "{URL}/simple"',),
    ),
    (
        '[[index]]\nname = "tuna"\nurl = "https://tuna/simple"\ndefault = true\n\n'
        '[[index]]\nname = "torch"\nurl = "https://d/whl/cu130"\nexplicit = true\n',
        ('url = "https://tuna/simple"',),
        (f'url = "{URL}/simple"',),
    ),
    ('# mine\nnative-tls = true\npython-preference = "only-system"\n', (), None),
    (
        '[[index]]\nname = "company"\nurl = "https://nexus/simple"\n',
        (),
        ("[[index]]", f'url = "{URL}/simple"', "default = true"),
    ),
)

DOCKER = (
    (
        '{\n  "registry-mirrors": [\n    "https://m.company"\n  ]\n}\n',
        ('    "https://m.company"',),
        None,
    ),
    ('{\n\t"insecure-registries": ["10.0.0.5:5000"],\n\t"log-driver": "json-file"\n}', (), None),
    ("", (), None),
    ('{"data-root": "/srv/docker", "features": {"buildkit": true}}\n', (), None),
    ('{\n    "exec-opts": [\n        "native.cgroupdriver=systemd"\n    ]\n}\n', (), None),
)

CONTAINERD = (
    (
        '# ours\n[host."https://nexus.company"]\n  capabilities = ["pull"]  # no resolve\n',
        (),
        (f'[host."{URL}"]', 'capabilities = ["pull", "resolve"]', ""),
    ),
    (
        'server = "https://registry-1.docker.io"\n\n[host."https://a"]\n  ca = "/a.pem"\n\n'
        '[host."https://b"]\n  skip_verify = true\n',
        (),
        (f'[host."{URL}"]', 'capabilities = ["pull", "resolve"]', ""),
    ),
    ('server = "https://docker.io"\n', (), None),
    (f'[host."{URL}"]\n  capabilities = ["pull"]\n', (), ()),
    ("# nothing yet\n", (), None),
)

PODMAN = (
    (
        'unqualified-search-registries = ["docker.io"]\nshort-name-mode = "enforcing"\n',
        (),
        None,
    ),
    (
        '[[registry]]\nprefix = "docker.io"\nlocation = "docker.io"\n\n'
        '[[registry.mirror]]\nlocation = "m.company"  # nexus\n',
        (),
        None,
    ),
    ('[[registry]]\nlocation = "registry.company"\ninsecure = true\n', (), None),
    ('# see containers-registries.conf(5)\n#\n# [[registry]]\n# location = "x"\n', (), None),
    ('[aliases]\n"fedora" = "registry.fedoraproject.org/fedora"\n', (), None),
)

K3S = (
    (
        "# the farm's\nconfigs:\n  registry.company:\n    auth: {username: a, password: b}\n",
        (),
        None,
    ),
    ('mirrors:\n  docker.io:\n    endpoint:\n      - "https://nexus.company"  # ours\n', (), None),
    (
        'mirrors:\n  "*":\n    endpoint:\n      - https://a\n  docker.io:\n    endpoint:\n'
        "      - https://b\n",
        (),
        (f"      - {URL}",) * 2,
    ),
    ("mirrors:\n  registry.company:\n", (), None),
    ("# nothing yet\n", (), None),
)

BUILDKIT = (
    ("debug = true\n[worker.oci]\n  gc = true  # all of it\n", (), None),
    (
        '[registry."docker.io"]\n  mirrors = ["nexus.company"]\n',
        ('  mirrors = ["nexus.company"]',),
        None,
    ),
    ('[registry."registry.company"]\n  insecure = true\n', (), None),
    ('[registry."docker.io"]\n  http = false\n', (), None),
    ("# nothing yet\n", (), None),
)

HUB = (
    ("export PATH=$HOME/bin:$PATH\n", (), (f"export HF_ENDPOINT={URL} # aimirror",)),
    (
        "export HF_ENDPOINT=https://hf-mirror.com\n",
        (),
        (f"export HF_ENDPOINT={URL} # aimirror",),
    ),
    (
        "export HF_ENDPOINT=http://old:1 # aimirror\nexport A=1",
        ("export HF_ENDPOINT=http://old:1 # aimirror",),
        (f"export HF_ENDPOINT={URL} # aimirror",),
    ),
    (
        'if [ -n "$BASH_VERSION" ]; then\n  . "$HOME/.bashrc"\nfi\n',
        (),
        (f"export HF_ENDPOINT={URL} # aimirror",),
    ),
    (
        "export GOPROXY=http://old:1/goproxy # aimirror\n",
        (),
        (f"export HF_ENDPOINT={URL} # aimirror",),
    ),
)

NPM = (
    (
        "registry=https://registry.npmmirror.com\n//registry.npmjs.org/:_authToken=${NPM_TOKEN}\n",
        ("registry=https://registry.npmmirror.com",),
        (f"registry={URL}/registry/npm/",),
    ),
    (
        "; company\n@company:registry=https://npm.company/\n//npm.company/:_authToken=abc\n",
        (),
        (f"registry={URL}/registry/npm/",),
    ),
    (
        "registry = https://a/\nregistry=https://b/\nfund=false\n",
        ("registry = https://a/", "registry=https://b/"),
        (f"registry={URL}/registry/npm/",),
    ),
    ("save-exact=true\n\n[section]\nregistry=https://c/\n", (), (f"registry={URL}/registry/npm/",)),
    ("#registry=https://old/\nloglevel=warn", (), (f"registry={URL}/registry/npm/",)),
)

YARN = (
    (
        'registry "https://registry.yarnpkg.com"\n',
        ('registry "https://registry.yarnpkg.com"',),
        None,
    ),
    ('# yarn lockfile v1\n\nlastUpdateCheck 1700000000000\n"@c:registry" "https://c/"\n', (), None),
    ("registry https://a/\n--install.frozen-lockfile true\n", ("registry https://a/",), None),
    ("disable-self-update-check true\n", (), None),
    (f'registry "{URL}/registry/npm/"\n', (), ()),
)

OWN_CHANNELS = (
    "default_channels:",
    f"  - {URL}/pkgs/main",
    f"  - {URL}/pkgs/r",
    "custom_channels:",
    f"  conda-forge: {URL}",
    f"  bioconda: {URL}",
)
CONDA = (
    ("channels:\n  - conda-forge  # first\n  - defaults\nssl_verify: true\n", (), OWN_CHANNELS),
    (
        "channels:\n  - https://conda.anaconda.org/conda-forge/\n  - pytorch\n",
        ("  - https://conda.anaconda.org/conda-forge/",),
        (f"  - {URL}/conda-forge", *OWN_CHANNELS),
    ),
    (
        "channels:\n- defaults\nshow_channel_urls: true\ndefault_channels:\n"
        "- https://mirrors.tuna.tsinghua.edu.cn/anaconda/pkgs/main\n"
        "custom_channels:\n  pytorch: https://mirrors.tuna.tsinghua.edu.cn/anaconda/cloud\n",
        ("- https://mirrors.tuna.tsinghua.edu.cn/anaconda/pkgs/main",),
        (f"- {URL}/pkgs/main", f"- {URL}/pkgs/r", *OWN_CHANNELS[4:]),
    ),
    ("# mine\nauto_activate_base: false\nenvs_dirs:\n  - /srv/envs\n", (), None),
    ('proxy_servers:\n  http: "http://proxy:3128"\nchannel_priority: strict\n', (), None),
)

OWN_R = (
    f'local({{r <- getOption("repos"); r["CRAN"] <- "{URL}"; options(repos = r)}}) # aimirror',
)
R = (
    ('options(\n  repos = c(CRAN = "https://cloud.r-project.org"),\n  Ncpus = 4\n)\n', (), OWN_R),
    ('options(repos = c(CRAN = "https://a", INTERNAL = "https://b"))', (), OWN_R),
    (".First <- function() {\n  cat('hello')\n}\n", (), OWN_R),
    ('source("renv/activate.R")\n', (), OWN_R),
    (
        f"{OWN_R[0].replace('mirror:8081', 'old:1')}\nsetHook(1, 2)\n",
        (OWN_R[0].replace("mirror:8081", "old:1"),),
        OWN_R,
    ),
)

MIRROR = (
    "    <mirror>",
    "      <id>aimirror</id>",
    "      <mirrorOf>central</mirrorOf>",
    f"      <url>{URL}/maven2</url>",
    "    </mirror>",
)
MAVEN = (
    (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!-- company -->\n'
        '<settings xmlns="http://maven.apache.org/SETTINGS/1.0.0"\n'
        '          xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'
        "  <servers><server><id>n</id><password>{x}</password></server></servers>\n</settings>\n",
        (),
        ("  <mirrors>", *MIRROR, "  </mirrors>"),
    ),
    (
        "<settings>\n  <mirrors>\n    <!-- all -->\n    <mirror>\n      <id>nexus</id>\n"
        "      <mirrorOf>*</mirrorOf>\n      <url>https://nexus/</url>\n    </mirror>\n"
        "  </mirrors>\n</settings>\n",
        (),
        MIRROR,
    ),
    (
        "<settings>\n  <mirrors>\n    <mirror>\n      <id>aimirror</id>\n"
        "      <mirrorOf>central</mirrorOf>\n      <url>http://old:1/maven2</url>\n"
        "    </mirror>\n  </mirrors>\n</settings>\n",
        ("      <url>http://old:1/maven2</url>",),
        (f"      <url>{URL}/maven2</url>",),
    ),
    (
        "<settings>\n  <mirrors/>\n  <offline>false</offline>\n</settings>\n",
        ("  <mirrors/>",),
        ("  <mirrors>", *MIRROR, "  </mirrors>"),
    ),
    (
        "<settings>\n  <!-- <mirrors><mirror><id>x</id></mirror></mirrors> -->\n"
        "  <profiles>\n    <profile><id>mirrors</id></profile>\n  </profiles>\n</settings>\n",
        (),
        ("  <mirrors>", *MIRROR, "  </mirrors>"),
    ),
)

APT = (
    (
        "deb http://deb.debian.org/debian bookworm main contrib non-free-firmware\n"
        "deb http://security.debian.org/debian-security bookworm-security main\n",
        (
            "deb http://deb.debian.org/debian bookworm main contrib non-free-firmware",
            "deb http://security.debian.org/debian-security bookworm-security main",
        ),
        (
            f"deb {URL}/debian bookworm main contrib non-free-firmware",
            f"deb {URL}/debian-security bookworm-security main",
        ),
    ),
    (
        "Types: deb deb-src\nURIs: http://deb.debian.org/debian/\nSuites: trixie trixie-updates\n"
        "Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.pgp\n\n"
        "# security\nTypes: deb\nURIs: http://security.debian.org/debian-security\n"
        "Suites: trixie-security\nComponents: main\n",
        (
            "URIs: http://deb.debian.org/debian/",
            "URIs: http://security.debian.org/debian-security",
        ),
        (f"URIs: {URL}/debian/", f"URIs: {URL}/debian-security"),
    ),
    (
        "Types: deb\nURIs: http://de.archive.ubuntu.com/ubuntu/\n  http://security.ubuntu.com/ubuntu/\n"
        "Suites: noble\nComponents: main universe\n",
        ("URIs: http://de.archive.ubuntu.com/ubuntu/", "  http://security.ubuntu.com/ubuntu/"),
        (f"URIs: {URL}/ubuntu/", f"  {URL}/ubuntu/"),
    ),
    (
        "# deb cdrom:[Debian 12]/ bookworm main\n"
        "deb [arch=amd64 signed-by=/k.gpg] https://download.docker.com/linux/debian x stable\n"
        "deb [arch=amd64] http://ftp.de.debian.org/debian bookworm main # near\n",
        ("deb [arch=amd64] http://ftp.de.debian.org/debian bookworm main # near",),
        (f"deb [arch=amd64] {URL}/debian bookworm main # near",),
    ),
    (f"deb {URL}/debian bookworm main\n", (), ()),
)

CARGO = (
    ("[net]\ngit-fetch-with-cli = true\n\n[build]\njobs = 4  # few\n", (), None),
    (
        '[source.crates-io]\nreplace-with = "ustc"\n\n[source.ustc]\n'
        'registry = "sparse+https://mirrors.ustc.edu.cn/crates.io-index/"\n',
        ('replace-with = "ustc"',),
        None,
    ),
    ('[registries.company]\nindex = "sparse+https://c/"\ntoken = "t"\n', (), None),
    ('[target.x86_64-unknown-linux-gnu]\nlinker = "clang"\n', (), None),
    (
        '[source.crates-io]\nreplace-with = "aimirror"\n\n[source.aimirror]\n'
        'registry = "sparse+http://old:1/crates/"\n',
        ('registry = "sparse+http://old:1/crates/"',),
        (f'registry = "sparse+{URL}/crates/"',),
    ),
)

GEMS = (
    (
        "---\n:backtrace: false\n:sources:\n- https://rubygems.org/\n:update_sources: true\n",
        ("- https://rubygems.org/",),
        (f"- {URL}/rubygems/",),
    ),
    ("gem: --no-document\n", (), (":sources:", f"  - {URL}/rubygems/")),
    (
        ":sources:\n  - https://gems.company/\n  - https://rubygems.org\n",
        ("  - https://rubygems.org",),
        (f"  - {URL}/rubygems/",),
    ),
    ("# mine\n:verbose: true\n", (), (":sources:", f"  - {URL}/rubygems/")),
    (f":sources:\n- {URL}/rubygems/\n:verbose: false\n", (), ()),
)

OWN_GEMS = (f'BUNDLE_MIRROR__HTTPS://RUBYGEMS__ORG/: "{URL}/rubygems"',)
BUNDLER = (
    ('---\nBUNDLE_JOBS: "4"\n', (), OWN_GEMS),
    ('---\nBUNDLE_GEMS__COMPANY__COM: "user:secret"\nBUNDLE_PATH: "vendor"\n', (), OWN_GEMS),
    (
        '---\nBUNDLE_MIRROR__HTTPS://RUBYGEMS__ORG/: "https://gems.ruby-china.com"\n',
        ('BUNDLE_MIRROR__HTTPS://RUBYGEMS__ORG/: "https://gems.ruby-china.com"',),
        OWN_GEMS,
    ),
    ('---\nBUNDLE_MIRROR__HTTPS://OTHER__ORG/: "https://o"\n', (), OWN_GEMS),
    ('BUNDLE_WITHOUT: "test:development"\n', (), OWN_GEMS),
)

OWN_GIT = (
    f'[url "{URL}/github/"]',
    "\tinsteadOf = https://github.com/",
    '[url "https://github.com/"]',
    "\tpushInsteadOf = https://github.com/",
)
GIT = (
    ("[user]\n\tname = A\n\temail = a@b\n[alias]\n\tst = status\n", (), OWN_GIT),
    (
        '[core]\n\teditor = vi\n[url "http://old:1/github/"]\n\tinsteadOf = https://github.com/\n',
        (),
        (
            "\t# aimirror took the place of: insteadOf = https://github.com/",
            *(line for line in OWN_GIT if "\tinstead" not in line),
        ),
    ),
    (
        '[url "git@github.com:"]\n\tpushInsteadOf = https://github.com/\n'
        '[url "ssh://git@g.company/"]\n\tinsteadOf = https://g.company/\n',
        (),
        OWN_GIT,
    ),
    (
        '[url "https://ghproxy.com/https://github.com/"] insteadof = "https://github.com/"\n',
        ('[url "https://ghproxy.com/https://github.com/"] insteadof = "https://github.com/"',),
        None,
    ),
    ("[alias]\n\tx = !f() { \\\n  [url \\\n}; f\n# [url]\n", (), OWN_GIT),
)

APK = (
    (
        "https://dl-cdn.alpinelinux.org/alpine/v3.20/main\n"
        "https://dl-cdn.alpinelinux.org/alpine/v3.20/community\n",
        (
            "https://dl-cdn.alpinelinux.org/alpine/v3.20/main",
            "https://dl-cdn.alpinelinux.org/alpine/v3.20/community",
        ),
        (f"{URL}/alpine/v3.20/main", f"{URL}/alpine/v3.20/community"),
    ),
    (
        "#/media/cdrom/apks\nhttp://dl-4.alpinelinux.org/alpine/edge/main\n",
        ("http://dl-4.alpinelinux.org/alpine/edge/main",),
        (f"{URL}/alpine/edge/main",),
    ),
    (
        "@edge https://dl-cdn.alpinelinux.org/alpine/edge/testing\n/srv/own\n",
        ("@edge https://dl-cdn.alpinelinux.org/alpine/edge/testing",),
        (f"@edge {URL}/alpine/edge/testing",),
    ),
    (
        "https://apk.company/v3.20/own\nhttps://dl-cdn.alpinelinux.org/alpine/v3.20/main\n",
        ("https://dl-cdn.alpinelinux.org/alpine/v3.20/main",),
        (f"{URL}/alpine/v3.20/main",),
    ),
    (f"{URL}/alpine/v3.21/main\n", (), ()),
)

RELEASES = f"baseurl={URL}/fedora/releases/$releasever/Everything/$basearch/os/"
UPDATES = f"baseurl={URL}/fedora/updates/$releasever/Everything/$basearch/"
META = "metalink=https://mirrors.fedoraproject.org/metalink?repo=fedora-$releasever&arch=$basearch"
DNF = (
    (
        f"[fedora]\nname=Fedora $releasever - $basearch\n#baseurl=http://x/\n{META}\nenabled=1\n"
        "gpgcheck=1\n[fedora-debuginfo]\nname=d\nmetalink=https://m/d\n",
        (META,),
        (f"#{META}", RELEASES),
    ),
    (
        "[updates]\nname=u\nmetalink=https://m/u\nskip_if_unavailable=False\n",
        ("metalink=https://m/u",),
        ("#metalink=https://m/u", UPDATES),
    ),
    (
        "[fedora]\nname=f\nbaseurl=http://a/\n        http://b/\nenabled=1\n",
        ("baseurl=http://a/", "        http://b/"),
        ("#baseurl=http://a/", "#        http://b/", RELEASES),
    ),
    (
        "[fedora]\nname=f\nmirrorlist=https://m\n",
        ("mirrorlist=https://m",),
        ("#mirrorlist=https://m", RELEASES),
    ),
    (f"[fedora]\n{RELEASES}\nname=f\n", (), ()),
)

_SOURCE = ("[[tool.poetry.source]]", 'name = "mirror"', f'url = "{URL}/simple/"')
POETRY = (
    ('[project]\nname = "p"  # mine\n', (), (*_SOURCE, 'priority = "primary"')),
    (
        '[tool.poetry]\nname = "p"\npackage-mode = false\n\n[tool.black]\nline-length = 9\n',
        (),
        None,
    ),
    (
        '[tool.poetry]\nname = "p"\n\n[[tool.poetry.source]]\nname = "company"\n'
        'url = "https://nexus/simple/"\npriority = "supplemental"\n',
        (),
        (*_SOURCE, 'priority = "primary"'),
    ),
    (
        '[[tool.poetry.source]]\nname = "mirror"\nurl = "http://old/simple/"\n',
        ('url = "http://old/simple/"',),
        (f'url = "{URL}/simple/"',),
    ),
    (f'[[tool.poetry.source]]\nname = "mirror"\nurl = "{URL}/simple/"\n', (), ()),
)

HELM = (
    (
        'apiVersion: ""\ngenerated: "2024-01-01T00:00:00Z"\nrepositories:\n'
        "- caFile: /ca.pem\n  name: bitnami\n  url: https://charts.bitnami.com/bitnami\n",
        (),
        ("- name: jetstack", f"  url: {URL}/helm"),
    ),
    (
        'apiVersion: ""\ngenerated: "2024-01-01T00:00:00Z"\nrepositories:\n'
        "  - name: jetstack\n    url: https://charts.jetstack.io\n",
        ("    url: https://charts.jetstack.io",),
        (f"    url: {URL}/helm",),
    ),
    (
        'apiVersion: ""\ngenerated: "0001-01-01T00:00:00Z"\nrepositories:\n'
        "- name: certs  # for us\n  url: https://charts.jetstack.io/\n  username: me\n",
        ("  url: https://charts.jetstack.io/",),
        (f"  url: {URL}/helm",),
    ),
    (
        'apiVersion: ""\ngenerated: "0001-01-01T00:00:00Z"\nrepositories: []\n',
        ("repositories: []",),
        None,
    ),
    (
        'apiVersion: ""\ngenerated: "0001-01-01T00:00:00Z"\nrepositories:\n'
        f"  - name: jetstack\n    url: {URL}/helm\n",
        (),
        (),
    ),
)

PDM = (
    (
        '[pypi]\nurl = "https://mirrors.aliyun.com/pypi/simple"\nverify_ssl = true\n',
        ('url = "https://mirrors.aliyun.com/pypi/simple"', "verify_ssl = true"),
        (f'url = "{URL}/simple"', "verify_ssl = false"),
    ),
    ("# mine\ncheck_update = false\n\n[python]\nuse_venv = true\n", (), None),
    ('[pypi.extra]\nurl = "https://nexus/simple"\nusername = "me"\n', (), None),
    ("[pypi]\nignore_stored_index = true\njson_api = false\n", (), None),
    (f'[pypi]\nurl = "{URL}/simple"\nverify_ssl = false\n', (), ()),
)

BUN = (
    (
        '[install]\nregistry = "https://registry.npmmirror.com"\n',
        ('registry = "https://registry.npmmirror.com"',),
        (f'registry = "{URL}/registry/npm/"',),
    ),
    ('[install.scopes]\n"@acme" = { token = "$T", url = "https://npm.acme" }\n', (), None),
    ("telemetry = false\n\n[install]\nexact = true # pinned\n", (), None),
    (
        '[install]\nregistry = { url = "https://r/", token = "secret" }\n',
        ('registry = { url = "https://r/", token = "secret" }',),
        (f'registry = "{URL}/registry/npm/"',),
    ),
    (f'[install]\nregistry = "{URL}/registry/npm/"\n', (), ()),
)

_FORGE, _BIO = (f"https://conda.anaconda.org/{name}" for name in ("conda-forge", "bioconda"))
PIXI = (
    ('default-channels = ["conda-forge"]\n', (), None),
    (
        f'[mirrors]\n"{_FORGE}" = ["https://prefix.dev/conda-forge"]\n',
        (f'"{_FORGE}" = ["https://prefix.dev/conda-forge"]',),
        None,
    ),
    ('[pypi-config]\nindex-url = "https://n/simple"\n', (), None),
    ('# company\n[mirrors]\n"https://repo.company/x" = ["https://y"]\n', (), None),
    (
        f'[mirrors]\n"{_FORGE}" = ["{URL}/conda-forge"]\n"{_BIO}" = ["{URL}/bioconda"]\n',
        (),
        (),
    ),
)

NIX = (
    (
        "experimental-features = nix-command flakes\n",
        (),
        (f"substituters = {URL}/nix https://cache.nixos.org",),
    ),
    (
        "substituters = https://cache.nixos.org https://nix-community.cachix.org\n"
        "trusted-public-keys = a b\n",
        ("substituters = https://cache.nixos.org https://nix-community.cachix.org",),
        (f"substituters = {URL}/nix https://cache.nixos.org https://nix-community.cachix.org",),
    ),
    ("# mine\nmax-jobs = auto\n!include extra.conf\n", (), None),
    ("extra-substituters = https://cuda-maintainers.cachix.org\n", (), None),
    (f"substituters = {URL}/nix https://cache.nixos.org\n", (), ()),
)

FILES = {
    "pip": PIP,
    "pdm": PDM,
    "bun": BUN,
    "pixi": PIXI,
    "nix": NIX,
    "pnpm": NPM,
    "uv": UV,
    "poetry": POETRY,
    "helm": HELM,
    "docker": DOCKER,
    "containerd": CONTAINERD,
    "podman": PODMAN,
    "k3s": K3S,
    "buildkit": BUILDKIT,
    "huggingface": HUB,
    "npm": NPM,
    "yarn": YARN,
    "conda": CONDA,
    "r": R,
    "maven": MAVEN,
    "apt": APT,
    "cargo": CARGO,
    "rubygems": GEMS,
    "bundler": BUNDLER,
    "git": GIT,
    "apk": APK,
    "dnf": DNF,
}


class FilesTests(SynchronousTestCase):
    def test_five_each(self) -> None:
        """Of each kind of file there are five."""
        self.assertEqual({len(files) for files in FILES.values()}, {5})

    def test_only_what_is_meant(self) -> None:
        """The lines that go and those that come are the ones meant; the rest keeps its order."""
        for client, files in FILES.items():
            for before, gone, come in files:
                after = setting(client, URL).merges(before)
                old, new = before.splitlines(), after.splitlines()
                lost = Counter(filter(None, old)) - Counter(new)
                if client == "docker":  # a list may be laid out anew
                    continue
                self.assertEqual(lost, Counter(gone), (client, after))
                if come is not None:
                    more = Counter(line for line in new if line) - Counter(old)
                    self.assertEqual(more, Counter(filter(None, come)), (client, after))
                kept = [line for line in old if line not in gone and line.strip()]
                rest = iter(new)
                self.assertTrue(all(line in rest for line in kept), (client, after))
                self.assertIn("mirror:8081", after)

    def test_twice(self) -> None:
        """The second time nothing is changed."""
        for client, files in FILES.items():
            for before, *_ in files:
                after = setting(client, URL).merges(before)
                self.assertEqual(setting(client, URL).merges(after), after, client)

    def test_taken_back(self) -> None:
        """What was written is taken back, also when lines have come before and behind it."""
        for client, files in FILES.items():
            for before, *_ in files:
                after = setting(client, URL).merges(before)
                self.assertEqual(taken_back(before, after, after), before, client)
                if before and before != after and before.endswith("\n"):
                    now = taken_back(before, after, f"# first\n{after}")
                    self.assertEqual(now, f"# first\n{before}", client)

    def test_elsewhere(self) -> None:
        """Another address takes the place of ours, once ours is taken back."""
        for client, files in FILES.items():
            for before, *_ in files:
                if "mirror:8081" in before:
                    continue
                after = setting(client, URL).merges(before)
                moved = setting(client, OTHER).merges(taken_back(before, after, after))
                self.assertNotIn("mirror:8081", moved, client)

    def test_conflict(self) -> None:
        """What was changed at the same place since is not guessed at."""
        self.assertRaises(Conflict, taken_back, "a\nb\n", "a\nours\n", "a\nours, changed\n")


BROKEN = {
    "poetry": ("tool = 1\n", '[tool.poetry]\nsource = "a"\n', "[tool\n"),
    "helm": ("- a\n", "a: [1\n"),
    "swift": ("[]", "{", '{"registries": 1}'),
    "pip": ("index-url = x\n", "[global]\nindex-url = a\nindex-url = b\n", "[global\n"),
    "uv": ("[index]\nurl = 1\n", "index = 3\n", "= 1\n"),
    "docker": ("[]", "{", '{"registry-mirrors": "https://a"}'),
    "containerd": ("host = 1\n", "[host\n"),
    "podman": ("registry = 1\n", "[[registry]"),
    "k3s": ("- a\n", "mirrors: [1\n", "mirrors: 1\n", "mirrors: {docker.io: 1}\n"),
    "buildkit": ("registry = 1\n", "[registry\n"),
    "conda": ("- a\n", "a: [1\n", "a: 1\na: 2\n"),
    "maven": ("<project/>", "<settings>", "text", "<settings/>"),
    "cargo": ("source = 1\n", "[a\n"),
    "rubygems": ("- a\n", "a: {\n"),
    "apt": ("# nothing\n", "deb https://repo.company/debian stable main\n"),
    "apk": ("https://apk.company/main\n",),
    "dnf": ("[epel]\nname=e\n",),
}


class BrokenTests(SynchronousTestCase):
    def test_refused(self) -> None:
        """Files that are not understood, or name nothing of ours, are refused with a reason."""
        for client, files in BROKEN.items():
            for before in files:
                error = self.assertRaises(ValueError, setting(client, URL).merges, before)
                self.assertTrue(str(error), client)
                self.assertNotIn("\n", str(error))
