"""The configuration file: what loads, what comes out, and the one line that each mistake gives."""

from __future__ import annotations

import inspect
import re
from enum import Enum
from ipaddress import ip_network
from pathlib import Path

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.config import (
    Abandoned,
    AccessFormat,
    Config,
    ConfigError,
    Level,
    check_dirs,
    load,
    tables,
)
from aimirror.config.document import MAX_BYTES, parse, parse_own
from aimirror.config.schema import At, Key
from aimirror.http.egress import Timeouts
from aimirror.routing.choices import KeySource, PathRewrite, Strategy
from aimirror.routing.digests import Digest, DigestSource, Source
from aimirror.routing.mounts import mounts
from aimirror.routing.policies import CachePolicy
from aimirror.routing.rules import Route, route_of
from aimirror.upstream.proxies import Proxies

ROOT = Path(__file__).resolve().parent.parent.parent
HEX = "0123456789abcdef" * 4

#: The configuration of the product's first description, which must load for ever.
FIRST = r"""
# fast_proxy 配置文件
server:
  host: "0.0.0.0"
  port: 8081
  upstream_proxy: ""                     # 上游代理,默认空表示直连
  public_host: "127.0.0.1:8081"          # 对外访问地址,用于 HTML 链接改写
  max_concurrent_downloads: 100          # 全局最大并发下载数,超过则排队
cache:
  dir: "/data/fast_proxy/cache"
  max_size_gb: 100
  lru_enabled: true
rules:
  # Docker Registry 代理(/v2/ 和 /v2/auth 在代码中特殊处理)
  - name: docker-blob
    pattern: "/v2/.*/blobs/sha256:[a-f0-9]+"
    upstream: "https://registry-1.docker.io"
    strategy: parallel
    min_size: 1  # all
    concurrency: 20
    chunk_size: 0  # 自动模式:总大小/concurrency,避免超大文件分片过多导致 token 超时
  - name: docker-registry
    pattern: "/v2/.*"
    upstream: "https://registry-1.docker.io"
    strategy: proxy
    handler: handlers.docker  # 特殊处理模块路径
  - name: pip-packages
    pattern: "/packages/.+\\.(whl|tar\\.gz|zip)$"
    upstream: "https://pypi.org"
    strategy: parallel
    min_size: 1  # all
    concurrency: 20
    chunk_size: 5242880  # 5MB per chunk
  - name: r-package
    pattern: "/src/contrib/.*"
    upstream: "https://cran.r-project.org"
    strategy: parallel
    min_size: 102400  # 100K
    concurrency: 20
    chunk_size: 5242880
  - name: huggingface-files
    pattern: '/.*/(blob|resolve)/[^/]+/.+'
    upstream: "https://huggingface.co"
    strategy: parallel
    min_size: 102400  #100k
    concurrency: 20
    chunk_size: 10485760  # 10MB per chunk
    cache_key_source: original  # 使用原始 URL 作为缓存 key(避免临时签名影响缓存命中)
    path_rewrite:
      - search: "/blob/"
        replace: "/resolve/"
    # HEAD 请求时需要额外保留的响应头(用于元数据获取)
    head_meta_headers:
      - "x-repo-commit"
      - "x-linked-etag"
      - "x-linked-size"
      - "etag"
  - name: huggingface-api
    pattern: '/api/models/.*'
    upstream: "https://huggingface.co"
    strategy: proxy
  # 示例:其他使用临时签名 URL 的站点
  # - name: example-signed-url
  #   pattern: '/signed-download/.*'
  - name: default
    pattern: ".*"
    upstream: "https://pypi.org"
    strategy: proxy
    content_rewrite:  # 响应内容改写配置
      content_types:  # 匹配的 Content-Type(HTML 和 JSON)
        - "text/html"
        - "application/json"
        - "application/vnd.pypi.simple"
      targets:  # 要替换的目标 host 列表
        - "https://files.pythonhosted.org"
logging:
  level: "INFO"
  file: "/data/fast_proxy/fast_proxy.log"
"""

#: Every field with a value that is not its default.
FULL = """
server:
  host: "::1"
  port: 0
  upstream_proxy: http://user:geheim@proxy:3128/
  public_host: https://Mirror.example/pypi/
  max_concurrent_downloads: 7
  workers: 3
  connections_per_host: 9
  allow_private: [10.0.0.0/8, "fd00::/8", 192.168.1.1, NAS.lan]
  timeouts: {connect: 5, header: 1m, silence: 1500ms}
  allow: [10.0.0.0/8]
  deny: [10.0.0.1]
  users: people
  limits: {connections: 9, client_connections: 3, client_rate: 2.5, requests: 8, head_size: 8KiB,
    body_size: 1MB, head_time: 1, body_silence: 2, silence: 3, keep_alive: 4,
    stop_time: 5}
cache:
  dir: store
  max_size_gb: 1.5
  lru_enabled: false
  memory_mb: 0
  keep_abandoned: drop
rate_limit: 1MB
content_rewrite: {content_types: [text/x], targets: ["https://T.example/"]}
logging: {level: warning, file: log/x.log, access: json, access_file: a.log, max_size: 1MB, keep: 2}
admin: {token: 0123456789abcdef, hosts: [10.0.0.0/8]}
rules:
  - name: full
    upstream: [HTTPS://A.example:443/base/, http://10.0.0.1:8080]
    strategy: parallel
    pattern: '/x'
    path_prefix: /n/
    strip_prefix: true
    min_size: 2MiB
    max_size: 1.5GB
    concurrency: 4
    chunk_size: -1
    cache_key_source: final
    path_rewrite: [{search: a, replace: ""}]
    content_rewrite: {content_types: []}
    handler: handlers.custom
    head_meta_headers: [etag]
    immutable: true
    digest: {algorithm: sha256, from: header, name: X-Sum}
    rate_limit: 100kB
    upstream_proxy: ""
    cache:
      ttl: 10m
      stale_if_error: 7d
      stale_while_revalidate: 30
      negative_ttl: 0
      ignore_upstream: true
  - name: bare
    upstream: http://h
    immutable: /pinned/
    digest: [{algorithm: md5, from: path, pattern: "/([0-9a-f]{32})/"}]
"""

RULE = "rules: [{name: a, upstream: 'https://h'}]\n"

#: A mistake, and what its line must name: key path and value, then what is allowed.
MISTAKES = (
    ("", "f.yaml: nothing is not a mapping", "rules"),
    ("[]", "f.yaml: a list is not a mapping", "server, cache, rules"),
    ("server: {}", "rules: missing", "a list of"),
    ("rules: []", "rules: the list is empty", "a list of"),
    ("rules: {a: b}", "rules: a mapping is not a list", "a list of"),
    ("rules: [7]", "rules[0]: 7 is not a mapping", "upstream"),
    (RULE + "sever: {}", "sever: unknown key (did you mean server?)", "logging"),
    (RULE + "zzz: {}", "zzz: unknown key;", "logging"),
    (RULE + "server: {prot: 1}", "server.prot: unknown key (did you mean port?)", "port"),
    (RULE + "server: {port: '80'}", "server.port: '80' is not allowed", "from 0 to 65535"),
    (RULE + "server: {port: true}", "server.port: true is not allowed", "from 0 to 65535"),
    (RULE + "server: {port: 65536}", "server.port: 65536 is not", "from 0 to 65535"),
    (RULE + "server: {host: a b}", "server.host: 'a b' is not", "address"),
    (RULE + "server: {public_host: a b}", "server.public_host: 'a b' is not", "host:port"),
    (RULE + "server: {public_host: 'h:99999'}", "server.public_host: 'h:99999' is", "host:port"),
    (RULE + "server: {upstream_proxy: 'u:geheim@p'}", "upstream_proxy: *** is", "with http, https"),
    (
        RULE + "server: {upstream_proxy: 'socks4://p:1'}",
        "upstream_proxy: *** is",
        "with http, https",
    ),
    (
        RULE + "server: {port: 8081, upstream_proxy: 'http://localhost:8081'}",
        "this mirror itself",
        "another proxy",
    ),
    (RULE + "server: {no_proxy: ['a b']}", "no_proxy[0]: 'a b' is", "a host"),
    (RULE + "server: {tls: {cert: c.pem}}", "server.tls.key: missing", "a file"),
    (RULE + "server: {tls: {cert: '', key: k}}", "server.tls.cert: ''", "a file"),
    (
        "rules: [{name: a, upstream: 'https://h', client_key: k}]",
        "rules[0].client_cert: missing",
        "of",
    ),
    (RULE + "registries: {h: {client_key: k}}", "registries.h.client_cert: missing", "client_key"),
    (RULE + "server: {ca_file: ''}", "server.ca_file: '' is not", "a file"),
    (RULE + "server: {trusted_proxies: [proxy]}", "trusted_proxies[0]: 'proxy'", "an address"),
    (RULE + "forward: {allow: ['a/b']}", "forward.allow[0]: 'a/b'", "*.domain"),
    (RULE + "forward: {deny: ['*x']}", "forward.deny[0]: '*x'", "*.domain"),
    (RULE + "forward: {pinned: [10.0.0.0/8]}", "forward.pinned[0]", "*.domain"),
    (RULE + "forward: {ports: [0]}", "forward.ports[0]: 0", "1 to 65535"),
    (RULE + "server: {allow_private: [10.0.0.1/8]}", "allow_private[0]: '10.0.0.1/8'", "network"),
    (RULE + "server: {allow_private: ['a b']}", "allow_private[0]: 'a b'", "network"),
    (RULE + "server: {allow_private: [300.1.1.1]}", "allow_private[0]: '300.1.1.1'", "network"),
    (RULE + "server: {timeouts: {connect: 0}}", "server.timeouts.connect: 0 is", "at least 0.1"),
    (RULE + "server: {timeouts: {header: 5x}}", "server.timeouts.header: '5x'", "30s"),
    (RULE + "server: {max_concurrent_downloads: 0}", "max_concurrent_downloads: 0", "from 1 to"),
    (RULE + "cache: {dir: 5}", "cache.dir: 5 is not allowed", "folder"),
    (RULE + "cache: {max_size_gb: -1}", "cache.max_size_gb: -1 is", "a number from"),
    (RULE + "cache: {max_size_gb: .inf}", "cache.max_size_gb: inf is", "a number from"),
    (RULE + "cache: {max_size_gb: .nan}", "cache.max_size_gb: nan is", "a number from"),
    (RULE + "cache: {lru_enabled: 1}", "cache.lru_enabled: 1 is", "true or false"),
    (RULE + "cache: {keep_abandoned: maybe}", "keep_abandoned: 'maybe'", "finish or drop"),
    (RULE + "logging: {level: LOUD}", "logging.level: 'LOUD'", "DEBUG or INFO"),
    (RULE + "rate_schedule: [{from: '8:00'}]", "rate_schedule[0].to: missing", "a time of day"),
    (RULE + "rate_schedule: [{from: '8:00', to: '8:00'}]", "[0].to: the time of from", "another"),
    (RULE + "rate_schedule: [{from: '25:00', to: '8:00'}]", "[0].from: '25:00'", "a time of day"),
    (RULE + "rate_limit: -5", "rate_limit: -5 is not allowed (negative)", "0 for no limit"),
    ("rules: [{upstream: 'https://h'}]", "rules[0].name: missing", "text"),
    ("rules: [{name: '', upstream: 'https://h'}]", "rules[0].name: '' is", "text"),
    ("rules: [{name: a}]", "rules[0].upstream: missing", "https://"),
    ("rules: [{name: a, upstream: []}]", "rules[0].upstream: the list is empty", "https://"),
)

#: The same for a field of a rule; the path is rules[0].FIELD.
RULE_MISTAKES = (
    ("upstream: 'ftp://h'", "upstream: 'ftp://h' is not allowed", "http:// or https://"),
    ("upstream: h", "upstream: 'h' is not allowed", "http:// or https://"),
    ("upstream: ['https://h', 'https://']", "upstream[1]: 'https://' is", "http:// or https://"),
    ("upstream: 'https://h:0'", "upstream: 'https://h:0'", "http:// or https://"),
    ("upstream: 'https://h?x=1'", "upstream: 'https://h?x=1'", "without query"),
    ("upstream: 'https://h/../x'", "upstream: 'https://h/../x' is not allowed (", "https://"),
    ("upstream: 'https://u:geheim@h'", "upstream: 'https://***@h' is not allowed (cred", "https"),
    ("strategy: fast", "strategy: 'fast' is", "proxy or parallel"),
    ("pattern: '('", "pattern: '(' is not allowed (missing ), unterminated", "regular expression"),
    ("pattern: 5", "pattern: 5 is", "regular expression"),
    ("path_prefix: nvidia", "path_prefix: 'nvidia' is", "/nvidia"),
    ("path_prefix: /a/../b", "path_prefix: '/a/../b' is not allowed (the path", "/nvidia"),
    ("path_prefix: '/a?b'", "path_prefix: '/a?b' is not allowed (the path", "/nvidia"),
    ("strip_prefix: true", "strip_prefix: nothing to strip", "path_prefix"),
    ("min_size: 5XB", "min_size: '5XB' is", '"5MB"'),
    ("min_size: -1", "min_size: -1 is not allowed (negative)", '"5MB"'),
    ("min_size: 1.5", "min_size: 1.5 is", '"5MB"'),
    ("min_size: 10, max_size: 9", "max_size: 9 is", "at least min_size, 10"),
    ("chunk_size: yes", "chunk_size: true is", "0 or less"),
    ("chunck_size: 1", "chunck_size: unknown key (did you mean chunk_size?)", "chunk_size"),
    ("concurrency: 0", "concurrency: 0 is", "from 1 to 256"),
    ("cache_key_source: url", "cache_key_source: 'url' is", "original or final"),
    ("path_rewrite: [{search: a}]", "path_rewrite[0].replace: missing", "empty"),
    ("path_rewrite: [{search: '', replace: b}]", "path_rewrite[0].search: '' is", "text"),
    ("content_rewrite: {targets: [h]}", "content_rewrite.targets[0]: 'h' is", "https://"),
    ("handler: handlers/docker.py", "handler: 'handlers/docker.py' is", "handlers.docker"),
    ("handler: ..secrets", "handler: '..secrets' is", "handlers.docker"),
    ("head_meta_headers: ['a b']", "head_meta_headers[0]: 'a b' is", "header"),
    ("immutable: 1", "immutable: 1 is", "true or false, or a regular"),
    ("immutable: '['", "immutable: '[' is not allowed (unterminated", "true or false, or a reg"),
    ("digest: {algorithm: crc, from: path}", "digest.algorithm: 'crc' is", "sha256 or"),
    ("digest: {algorithm: md5, from: path}", "digest.pattern: missing", "regular"),
    ("digest: [{algorithm: md5, from: query}]", "digest[0].name: missing", "query"),
    ("cache: {ttl: -1}", "cache.ttl: -1 is", "seconds"),
    ("cache: {ttl: soon}", "cache.ttl: 'soon' is", "seconds"),
)

#: Broken YAML, with what the line must hold.
BROKEN = (
    ("a: [1", "line 1, column 6"),
    ("a: 1\nb: 2\na: 3", "line 3, column 1: the key 'a' is written twice"),
    ("a: {b: 1, b: 2}", "line 1, column 11: the key 'b' is written twice"),
    ("\ta: 1", "line 1, column 1"),
    ("a: !!python/object/apply:os.system [id]", "line 1, column 4: could not determine"),
    ("a: !!int x", "does not fit its YAML tag"),
    ("a: !!bool x", "does not fit its YAML tag"),
    ("a: !!timestamp x", "does not fit its YAML tag"),
    ("a: *b", "line 1, column 4: found undefined alias"),
    ("--- 1\n--- 2", "line 2, column 1"),
    ("a: &a [*a]", "contains itself"),
    ("[" * 5000, "nested deeper than 32 levels"),
    ("a: \x00", "special characters are not allowed"),
    ("a: {[1]: 2}", "line 1, column 5"),
)


class Loading(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.file = self.folder / "f.yaml"

    def load(self, text: str) -> Config:
        self.file.write_text(text)
        return load(self.file, {"HOME": "/home/u"})

    def mistake(self, text: str) -> str:
        line = str(self.assertRaises(ConfigError, self.load, text))
        self.assertNotIn("\n", line)
        self.assertTrue(line.startswith(str(self.file)), line)
        self.assertLess(len(line), 900, line)
        self.assertNotIn("geheim", line)
        return line


class ValueTests(Loading):
    def test_registries(self) -> None:
        """Registries are added to those that are known; each has a name of its own."""
        own = "registries: {'LAB:5000': {upstream: 'http://10.0.0.5', aliases: [r.lab]}, a.b: }\n"
        table = {registry.name: registry for registry in self.load(RULE + own).registries}
        self.assertEqual(table["lab:5000"].upstreams, ("http://10.0.0.5",))
        self.assertEqual(table["a.b"].upstreams, ("https://a.b",))
        two = "registries: {a.b: {upstream: ['https://a.c/', 'https://a.b']}}\n"
        table = {registry.name: registry for registry in self.load(RULE + two).registries}
        self.assertEqual(table["a.b"].upstreams, ("https://a.c", "https://a.b"))
        self.assertIn("docker.io", table)
        for wrong, where, allowed in (
            ("{a.b: {aliases: [quay.io]}}", "registries.a.b: 'quay.io' is a name of quay", "each"),
            ("{'http://a': {}}", "registries.http://a: 'http://a' is", "ghcr.io"),
            ("{a.b: {upstream: b}}", "registries.a.b.upstream: 'b' is", "https://"),
            ("[a.b]", "registries: a list is not a mapping", "ghcr.io"),
            ("{a.b: {proxy: x}}", "registries.a.b.proxy: unknown key", "aliases"),
        ):
            line = self.mistake(f"{RULE}registries: {wrong}\n")
            self.assertIn(where, line)
            self.assertIn(allowed, line)

    def test_registry_rules(self) -> None:
        """Rules for /v2/ are for registries, however they say so, unless they say otherwise."""
        for fields, wanted in (
            ("pattern: '^/v2/.*'", "oci"),
            ("pattern: /v2/.*/blobs/x", "oci"),
            ("path_prefix: /v2", "oci"),
            ("handler: handlers.docker", "oci"),
            ("path_prefix: /v2, ecosystem: npm", "npm"),
            ("path_prefix: /v2x", ""),
            ("pattern: '.*'", ""),
        ):
            text = f"rules: [{{name: a, upstream: 'https://h', {fields}}}]\n"
            self.assertEqual(self.load(text).rules[0].ecosystem, wanted, fields)

    def test_first_description(self) -> None:
        """The configuration of the first description loads unchanged, field by field."""
        config = self.load(FIRST)
        self.assertEqual(config.server.public_host, "127.0.0.1:8081")
        self.assertEqual(config.cache.dir, Path("/data/fast_proxy/cache"))
        self.assertEqual(config.cache.max_bytes, 100_000_000_000)
        self.assertEqual(config.logging.file, Path("/data/fast_proxy/fast_proxy.log"))
        rules = {rule.name: rule for rule in config.rules}
        own = "docker-blob,docker-registry,pip-packages,r-package,huggingface-files,huggingface-api"
        names = ",".join(rules)
        self.assertTrue(names.startswith(own) and names.endswith(",default"), names)
        self.assertEqual(rules["docker-registry"].handler, "handlers.docker")
        self.assertIs(rules["docker-blob"].strategy, Strategy.PARALLEL)
        self.assertEqual(rules["pip-packages"].chunk_size, 5242880)
        self.assertEqual(rules["r-package"].min_size, 102400)
        files = rules["huggingface-files"]
        self.assertEqual(files.path_rewrite, (PathRewrite("/blob/", "/resolve/"),))
        self.assertEqual(files.head_meta_headers[2:], ("x-linked-size", "etag"))
        self.assertIs(files.cache_key_source, KeySource.ORIGINAL)
        rewrite = rules["default"].content_rewrite
        assert rewrite is not None
        self.assertEqual(rewrite.targets, ("https://files.pythonhosted.org",))

    def test_server_fields(self) -> None:
        """Every field of the server and the cache arrives, with its unit."""
        config = self.load(FULL)
        server, cache = config.server, config.cache
        self.assertEqual((server.host, server.port, server.workers), ("::1", 0, 3))
        self.assertEqual(server.upstream_proxy, "http://user:geheim@proxy:3128")
        self.assertEqual(server.public_host, "https://mirror.example/pypi")
        self.assertEqual((server.max_concurrent_downloads, server.connections_per_host), (7, 9))
        self.assertEqual(server.timeouts, Timeouts(connect=5.0, header=60.0, silence=1.5))
        self.assertEqual(
            server.allow_private.networks,
            tuple(map(ip_network, ("10.0.0.0/8", "fd00::/8", "192.168.1.1/32"))),
        )
        self.assertEqual(server.allow_private.hosts, {"nas.lan"})
        self.assertEqual(cache.dir, self.folder / "store")
        self.assertEqual((cache.max_bytes, cache.memory_bytes), (1_500_000_000, 0))
        self.assertEqual((cache.lru_enabled, cache.keep_abandoned), (False, Abandoned.DROP))
        self.assertEqual(config.rate_limit, 1_000_000)
        self.assertIs(config.logging.level, Level.WARNING)
        self.assertEqual(config.logging.file, self.folder / "log/x.log")
        self.assertEqual((config.source, config.folder), (str(self.file), self.folder))

    def test_access_fields(self) -> None:
        """Every field about who may do what, and about logs, arrives."""
        config = self.load(FULL)
        server, logging = config.server, config.logging
        self.assertEqual(
            (server.allow, server.deny), ((ip_network("10.0.0.0/8"),), (ip_network("10.0.0.1"),))
        )
        self.assertEqual(server.users, self.folder / "people")
        limits = server.limits
        self.assertEqual(
            (limits.connections, limits.client_connections, limits.requests), (9, 3, 8)
        )
        self.assertEqual(
            (limits.client_rate, limits.head_size, limits.body_size), (2.5, 8192, 1_000_000)
        )
        self.assertEqual((limits.head_time, limits.body_silence), (1.0, 2.0))
        self.assertEqual((limits.silence, limits.keep_alive, limits.stop_time), (3.0, 4.0, 5.0))
        self.assertEqual(
            (logging.access, logging.access_file), (AccessFormat.JSON, self.folder / "a.log")
        )
        self.assertEqual((logging.max_size, logging.keep), (1_000_000, 2))
        self.assertEqual(config.admin.hosts, (ip_network("10.0.0.0/8"),))
        self.assertEqual(config.admin.token, "0123456789abcdef")
        self.assertNotIn("0123456789abcdef", repr(config))

    def test_admin_token(self) -> None:
        """The token is the file's own, else that of the token file, else the environment's."""
        environ = {"AIMIRROR_ADMIN_TOKEN": "e" * 16, "HOME": "/"}
        (self.folder / "secret").write_text("f" * 16 + "\n")
        for text, wanted in (
            ("", "e"),
            ("admin: {token_file: secret}", "f"),
            ("admin: {token_file: secret, token: tttttttttttttttt}", "t"),
        ):
            self.file.write_text(RULE + text)
            self.assertEqual(load(self.file, environ).admin.token, wanted * 16)

    def test_admin_hosts(self) -> None:
        """The networks are the file's own, else the environment's, which need a token there."""
        environ = {"AIMIRROR_ADMIN_TOKEN": "e" * 16, "AIMIRROR_ADMIN_HOSTS": "10.0.0.0/8, ::1,"}
        own = (ip_network("10.0.0.0/8"), ip_network("::1/128"))
        for text, variables, wanted in (
            ("", environ, own),
            ("admin: {hosts: [192.0.2.7]}", environ, (ip_network("192.0.2.7/32"),)),
            ("", {**environ, "AIMIRROR_ADMIN_TOKEN": ""}, ()),
            ("", {**environ, "AIMIRROR_ADMIN_HOSTS": ""}, ()),
        ):
            self.file.write_text(RULE + text)
            self.assertEqual(load(self.file, {"HOME": "/", **variables}).admin.hosts, wanted)
        with self.assertRaises(ConfigError) as caught:
            load(None, {**environ, "AIMIRROR_ADMIN_HOSTS": "10.0.0.0/8,nowhere"})
        for word in ("$AIMIRROR_ADMIN_HOSTS", "nowhere", "allowed"):
            self.assertIn(word, str(caught.exception))

    def test_bad_admin_token(self) -> None:
        """A token that is too short, or a file that can't be read, is told of without the token."""
        self.file.write_text(RULE)
        with self.assertRaises(ConfigError) as caught:
            load(self.file, {"AIMIRROR_ADMIN_TOKEN": "hunter2"})
        self.assertIn("AIMIRROR_ADMIN_TOKEN", str(caught.exception))
        self.assertNotIn("hunter2", str(caught.exception))
        self.file.write_text(RULE + "admin: {token_file: nowhere}")
        with self.assertRaises(ConfigError) as caught:
            load(self.file, {})
        self.assertIn("admin.token_file", str(caught.exception))

    def test_rule_fields(self) -> None:
        """Every field of a rule arrives, with its unit."""
        full, bare = self.load(FULL).rules
        self.assertEqual(full.upstreams, ("https://a.example/base", "http://10.0.0.1:8080"))
        self.assertEqual((full.path_prefix, full.strip_prefix), ("/n", True))
        self.assertEqual((full.min_size, full.max_size), (2 << 20, 1_500_000_000))
        self.assertEqual((full.concurrency, full.chunk_size, full.rate_limit), (4, 0, 100_000))
        self.assertIs(full.cache_key_source, KeySource.FINAL)
        self.assertEqual(full.path_rewrite, (PathRewrite("a", ""),))
        self.assertEqual((full.handler, full.upstream_proxy), ("handlers.custom", ""))
        self.assertEqual(
            full.digests,
            (DigestSource(algorithm="sha256", source=Source.HEADER, name="X-Sum"),),
        )
        self.assertEqual(
            full.cache,
            CachePolicy(
                ttl=600.0,
                stale_if_error=604800.0,
                stale_while_revalidate=30.0,
                negative_ttl=0.0,
                ignore_upstream=True,
            ),
        )
        self.assertIs(full.immutable, True)
        assert isinstance(bare.immutable, re.Pattern)
        self.assertEqual(bare.immutable.pattern, "/pinned/")
        self.assertIsNone(bare.upstream_proxy)

    def test_inherited_rewrite(self) -> None:
        """A rule without content_rewrite takes the top level's; its own, even empty, stays."""
        full, bare = self.load(FULL).rules
        assert full.content_rewrite is not None and bare.content_rewrite is not None
        self.assertFalse(full.content_rewrite.applies("text/x"))
        self.assertTrue(bare.content_rewrite.applies("text/x"))
        self.assertEqual(bare.content_rewrite.targets, ("https://t.example",))

    def test_null_is_default(self) -> None:
        """A key without a value, as when its lines are commented out, has its default."""
        config = self.load(RULE + "server:\ncache: {dir: }\nlogging: {file: }")
        self.assertEqual(config.server.port, 8081)
        self.assertEqual(config.cache.dir, self.folder / "cache")
        self.assertIsNone(config.logging.file)

    def test_merge_keys(self) -> None:
        """Rules may share fields by YAML's anchors and merge keys, and override them."""
        config = self.load(
            "rules:\n"
            "- &a {name: a, upstream: 'https://h', concurrency: 3, min_size: 1}\n"
            "- {<<: *a, name: b, min_size: 2}\n"
        )
        self.assertEqual([rule.concurrency for rule in config.rules], [3, 3])
        self.assertEqual([rule.min_size for rule in config.rules], [1, 2])

    def test_no_limit(self) -> None:
        """A max_size of 0 is no limit, also beside a min_size."""
        (rule,) = self.load(RULE.replace("}]", ", min_size: 9, max_size: 0}]")).rules
        self.assertIsNone(rule.max_size)

    def test_cache_home(self) -> None:
        """An empty cache.dir is the service manager's, the XDG or the home cache folder."""
        self.file.write_text(RULE + "cache: {dir: ''}")
        for environ, wanted in (
            ({"HOME": "/home/u"}, "/home/u/.cache/aimirror"),
            ({"HOME": "/home/u", "XDG_CACHE_HOME": "/x"}, "/x/aimirror"),
            ({"HOME": "/home/u", "XDG_CACHE_HOME": "x"}, "/home/u/.cache/aimirror"),
            ({"CACHE_DIRECTORY": "/var/cache/m:/other", "XDG_CACHE_HOME": "/x"}, "/var/cache/m"),
        ):
            self.assertEqual(load(self.file, environ).cache.dir, Path(wanted))

    def test_workers(self) -> None:
        """Left open, there are at least two workers; a number in the file is kept."""
        server = self.load(RULE).server
        self.assertGreaterEqual(server.worker_count(), 2)
        self.assertEqual(evolve(server, workers=1).worker_count(), 1)

    def test_secret(self) -> None:
        """A proxy's password is in no representation of the configuration."""
        self.assertNotIn("geheim", repr(self.load(FULL)))


class MistakeTests(Loading):
    def test_mistakes(self) -> None:
        """Each mistake gives one line with file, key path, value and what is allowed."""
        for text, problem, allowed in MISTAKES:
            line = self.mistake(text)
            self.assertIn(problem, line)
            self.assertIn(allowed, line.partition("; allowed: ")[2])

    def test_rule_mistakes(self) -> None:
        """The same for the fields of a rule."""
        for field, problem, allowed in RULE_MISTAKES:
            upstream = "" if field.startswith("upstream") else "upstream: 'https://h', "
            line = self.mistake(f"rules: [{{name: a, {upstream}{field}}}]")
            self.assertIn(f": rules[0].{problem}", line)
            self.assertIn(allowed, line.partition("; allowed: ")[2])

    def test_duplicate_name(self) -> None:
        """Two rules of one name are told apart by their places."""
        rule = "{name: a, upstream: 'https://h'}"
        line = self.mistake(f"rules: [{rule}, {rule.replace(': a', ': b')}, {rule}]")
        self.assertIn("rules[2].name: 'a' is the name of rules[0] already", line)

    def test_broken_yaml(self) -> None:
        """Broken, dangerous or ambiguous YAML is refused with its line and column."""
        for text, wanted in BROKEN:
            self.assertIn(wanted, self.mistake(text))

    def test_alias_bomb(self) -> None:
        """Aliases that multiply are refused before they are written out."""
        levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        levels += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
        self.assertIn("more than 50000 values", self.mistake("\n".join(levels)))
        chain = "\n".join(["- &b0 []"] + [f"- &b{i} [*b{i - 1}]" for i in range(1, 3000)])
        self.assertIn("more than 50000 values", self.mistake(chain))

    def test_bytes(self) -> None:
        """A file that is too long or not UTF-8 is refused; a byte order mark is not."""
        for content, wanted in (
            (b"#" * (MAX_BYTES + 1), "longer than"),
            (b"a: \xff", "not UTF-8 at byte 3"),
        ):
            self.file.write_bytes(content)
            self.assertIn(wanted, str(self.assertRaises(ConfigError, load, self.file)))
        self.file.write_bytes(b"\xef\xbb\xbf" + RULE.encode())
        self.assertEqual(load(self.file).rules[0].name, "a")

    def test_unreadable(self) -> None:
        """A file that is missing or a folder is named with the reason."""
        for path, wanted in (
            (self.folder / "none.yaml", "none.yaml: can't be read: No such file"),
            (self.folder, "can't be read: Is a directory"),
        ):
            self.assertIn(wanted, str(self.assertRaises(ConfigError, load, path)))

    @settings(max_examples=50, deadline=None)
    @given(
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3),
                st.dictionaries(
                    st.sampled_from(["rules", "server", "cache", "name", "upstream", "port", "x"]),
                    inner,
                    max_size=4,
                ),
            ),
        )
    )
    def test_any_value(self, value: object) -> None:
        """Whatever a file holds, the answer is a configuration or one line."""
        try:
            tables.document("f", Path("/")).read(value, at_root())
        except ConfigError as error:
            self.assertNotIn("\n", str(error))

    @settings(max_examples=50, deadline=None)
    @given(st.text(alphabet="ab:-[]{}&*!'\"|>%\n #?,<1\t", max_size=30))
    def test_any_text(self, text: str) -> None:
        """Whatever text is parsed, the answer is a value or one line."""
        try:
            parse(text.encode(), "f")
        except ConfigError as error:
            self.assertNotIn("\n", str(error))


def at_root() -> At:
    return At(file="f", folder=Path("/"), cache_home=Path("/cache"))


class DirectoryTests(Loading):
    def test_made(self) -> None:
        """Missing folders are made, for their owner alone, and left empty."""
        config = self.load(RULE + "cache: {dir: a/b}\nlogging: {file: c/x.log}")
        check_dirs(config)
        self.assertEqual(list((self.folder / "a/b").iterdir()), [])
        self.assertEqual((self.folder / "a/b").stat().st_mode & 0o777, 0o700)
        self.assertTrue((self.folder / "c").is_dir())

    def test_refused(self) -> None:
        """A folder that can't be made is a mistake that names its key."""
        (self.folder / "file").write_text("")
        for text, key in (
            ("cache: {dir: file/x}", "cache.dir"),
            ("cache: {dir: file}", "cache.dir"),
            ("logging: {file: file/x}", "logging.file"),
            ("logging: {access_file: file/x}", "logging.access_file"),
        ):
            config = self.load(RULE + text)
            for make in (True, False):
                error = self.assertRaises(ConfigError, check_dirs, config, make=make)
                self.assertIn(f"f.yaml: {key}: ", str(error))
                self.assertIn("can't be written", str(error))

    def test_checked(self) -> None:
        """Where folders are only to be checked, none is made."""
        config = self.load(RULE + "cache: {dir: a/b}\nlogging: {file: c/x.log}")
        check_dirs(config, make=False)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["f.yaml"])


class DefaultTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.config = load(None, {"HOME": "/home/u"})

    def routed(self, path: str) -> Route:
        found = route_of(self.config.rules, path, "")
        assert isinstance(found, Route), found
        return found

    def test_copy(self) -> None:
        """The annotated config.yaml is the built-in default, byte for byte, and it is sound."""
        built_in = (ROOT / "aimirror" / "default.yaml").read_bytes()
        self.assertEqual(parse_own(built_in), parse(built_in, "default.yaml"))
        self.assertEqual((ROOT / "config.yaml").read_bytes(), built_in)

    def test_needs_no_rights(self) -> None:
        """The built-in default stores in the user's cache folder and logs to standard error."""
        self.assertEqual(self.config.cache.dir, Path("/home/u/.cache/aimirror"))
        self.assertIsNone(self.config.logging.file)

    def test_states_defaults(self) -> None:
        """What the default file says of server and cache is what an empty section means."""
        bare = tables.document("f", Path("/")).read(
            {"rules": [{"name": "a", "upstream": "http://h"}]}, at_root()
        )
        self.assertEqual(self.config.server, bare.server)
        self.assertEqual(evolve(self.config.cache, dir=bare.cache.dir), bare.cache)
        self.assertEqual(self.config.logging, bare.logging)

    def test_routes(self) -> None:
        """Each kind of path of the documented clients goes to its rule, and to the right URL."""
        package = f"/packages/{HEX[:2]}/{HEX[2:4]}/{HEX[4:]}/numpy-2-py3-none-any.whl"
        commit = HEX[:40]
        for path, rule, url, immutable in (
            ("/v2/library/nginx/blobs/sha256:" + HEX, "docker-blob", "registry-1.docker.io", True),
            ("/v2/", "docker-registry", "registry-1.docker.io", False),
            (package, "pip-packages", "files.pythonhosted.org", True),
            (package + ".metadata", "pip-metadata", "files.pythonhosted.org", True),
            ("/simple/numpy/", "pip-index", "pypi.org/simple/numpy/", False),
            ("/src/contrib/PACKAGES.gz", "r-index", "cran.r-project.org", False),
            ("/src/contrib/jsonlite_1.8.7.tar.gz", "r-package", "cran.r-project.org", True),
            ("/o/m/resolve/main/a.gguf", "huggingface-files", "huggingface.co", False),
            (
                f"/o/m/blob/{commit}/a.gguf",
                "huggingface-files",
                f"huggingface.co/o/m/resolve/{commit}/a.gguf",
                True,
            ),
            ("/o/v2/resolve/main/x", "huggingface-files", "huggingface.co", False),
            ("/o/v2/resolve/v1.0/x", "huggingface-revisions", "huggingface.co", False),
            ("/gpt2/resolve/main/x", "huggingface-files", "huggingface.co", False),
            ("/api/models/o/m/tree/main", "huggingface-api", "huggingface.co", False),
            ("/pypi/numpy/json", "default", "pypi.org/pypi/numpy/json", False),
        ):
            found = self.routed(path)
            self.assertEqual(found.rule.name, rule, path)
            self.assertTrue(found.urls[0].startswith(f"https://{url}"), found.urls)
            self.assertEqual(found.immutable, immutable, path)
        self.assertEqual(self.routed(package).digest, Digest("blake2b-256", HEX))

    def test_links(self) -> None:
        """Index pages of either content type have their file links mapped to the mirror."""
        rewrite = self.routed("/simple/numpy/").rule.content_rewrite
        assert rewrite is not None
        for kind in ("text/html", "application/vnd.pypi.simple.v1+json"):
            self.assertTrue(rewrite.applies(kind))
        prefixes = {mount.base: mount.prefix for mount in mounts(self.config.rules)}
        self.assertEqual(prefixes["https://files.pythonhosted.org"], "")


class EnvironmentTests(Loading):
    def test_proxies(self) -> None:
        """ "env" takes the environment's proxies; without it they are not looked at."""
        self.file.write_text(RULE + "server: {upstream_proxy: env}")
        loaded = load(self.file, {"HTTPS_PROXY": "http://p:1", "no_proxy": "a,b"})
        self.assertEqual(loaded.environment, Proxies(https="http://p:1", no_proxy=("a", "b")))
        self.file.write_text(RULE)
        self.assertEqual(load(self.file, {"HTTPS_PROXY": "x y"}).environment, Proxies())

    def test_mistakes(self) -> None:
        """A variable that is no proxy, or names this mirror, is told by its name alone."""
        self.file.write_text(RULE + "server: {upstream_proxy: env, port: 8081}")
        for value, told in (
            ("http://u:geheim@p:x", "variable HTTPS_PROXY"),
            ("http://localhost:8081", "this mirror itself"),
        ):
            with self.assertRaises(ConfigError) as caught:
                load(self.file, {"HTTPS_PROXY": value})
            self.assertIn(told, str(caught.exception))
            self.assertNotIn("geheim", str(caught.exception))

    def test_authority_folder(self) -> None:
        """The authority is kept where lasting files of a service or a user belong."""
        self.file.write_text(RULE)
        for environ, wanted in (
            ({"STATE_DIRECTORY": "/var/lib/aimirror"}, "/var/lib/aimirror/ca"),
            ({"XDG_CONFIG_HOME": "/c", "HOME": "/h"}, "/c/aimirror/ca"),
            ({"XDG_CONFIG_HOME": "c", "HOME": "/h"}, "/h/.config/aimirror/ca"),
        ):
            self.assertEqual(load(self.file, environ).forward.ca_dir, Path(wanted))
        self.file.write_text(RULE + "forward: {ca_dir: own}")
        self.assertEqual(load(self.file, {}).forward.ca_dir, self.file.parent / "own")


class DocumentationTests(Loading):
    def setUp(self) -> None:
        super().setUp()
        self.text = (ROOT / "docs" / "configuration.md").read_text()

    def test_examples(self) -> None:
        """Every example loads, and the example of a mistake is what that mistake gives."""
        examples = re.findall(r"^```yaml\n(.*?)^```", self.text, re.MULTILINE | re.DOTALL)
        self.assertGreater(len(examples), 1)
        for example in examples:
            self.assertTrue(self.load(example).rules)
        wrong = ["", "", ", chunk_size: 5XB"]
        rules = (f"{{name: r{i}, upstream: 'http://h'{w}}}" for i, w in enumerate(wrong))
        line = self.mistake(f"rules: [{', '.join(rules)}]")
        self.assertIn("config.yaml" + line.removeprefix(str(self.file)), self.text)

    def test_every_field(self) -> None:
        """docs/configuration.md has every field of the schema, its default, and no other."""
        rows = re.findall(r"^\| `([a-z_.\[\]]+)` \| (.*?) \| (.*?) \|", self.text, re.MULTILINE)
        documented = {path: default for path, _kind, default in rows}
        self.assertEqual(len(rows), len(documented))
        walk = list(tables.document("f", Path("/")).walk())
        wanted = {path: default_of(key, make) for path, key, make in walk}
        self.assertEqual(documented, wanted)


def default_of(key: Key, make: object) -> str:
    if key.required:
        return "required"
    value = key.default
    if value is None:
        assert callable(make)
        value = inspect.signature(make).parameters[key.parameter or key.name].default
    value = value.value if isinstance(value, Enum) else value
    if value is inspect.Parameter.empty or not isinstance(value, bool | int | float | str | tuple):
        return "none"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`" if value != "" else '`""`'
