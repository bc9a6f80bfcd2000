"""Configuration of load balancers that send a request to the node of its affinity key.

None of it bounds the load of a node: a bound would spread the requests for one cold file over
all nodes, and each of them would fetch it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from attrs import frozen

from aimirror.cluster.affinity import Shape

#: Seconds without a byte: a large file that is cold may be slow to begin.
_SILENCE = 600
#: How the names of Envoy's filters begin.
_ENVOY = "type.googleapis.com/envoy.extensions.filters"

#: What makes it ask another node when it asks once more.
_ENVOY_OTHER = (
    "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
)


@frozen(kw_only=True)
class Site:
    """What is behind a balancer: nodes as (host, port), and the port on which it listens."""

    nodes: tuple[tuple[str, int], ...]
    port: int
    shapes: tuple[Shape, ...]


def _haproxy(site: Site) -> str:
    nodes = (f"    server node{n} {h}:{p} check" for n, (h, p) in enumerate(site.nodes, 1))
    return f"""\
# Made by `aimirror balance haproxy`, for HAProxy 2.6 or later.
defaults
    mode http
    timeout connect 2s
    timeout client {_SILENCE}s
    timeout server {_SILENCE}s
    timeout http-request 30s
    option redispatch 1
    retries 3
    retry-on conn-failure empty-response 503

frontend aimirror
    bind :{site.port}
    option forwardfor
    http-request disable-l7-retry unless {{ method GET HEAD }}
{haproxy_key(site.shapes)}
    default_backend nodes

backend nodes
    balance hash var(txn.key)
    hash-type consistent djb2 avalanche
    option httpchk GET /health
    default-server inter 1s fall 2 rise 2
{_joined(nodes)}
"""


def haproxy_key(shapes: Iterable[Shape]) -> str:
    """The lines of a frontend that put the key into ``txn.key``."""
    new = "!{ var(txn.key) -m found }"
    each = (
        f'    http-request set-var(txn.key) \'pathq,regsub("{shape.pattern}","{shape.key}")\''
        f" if {new} {{ pathq -m reg '{shape.pattern}' }}"
        for shape in shapes
    )
    return _joined([*each, f"    http-request set-var(txn.key) url if {new}"])


def nginx_key(shapes: Iterable[Shape], indent: str = "") -> str:
    """The map that puts the key into ``$aimirror_key``."""
    each = (f'{indent}    "~{s.pattern}" "{s.key.replace(chr(92), "$")}";' for s in shapes)
    head = f"{indent}map $request_uri $aimirror_key {{\n{indent}    default $request_uri;\n"
    return f"{head}{_joined(each)}\n{indent}}}"


def _nginx(site: Site) -> str:
    nodes = (f"    server {h}:{p} max_fails=2 fail_timeout=5s;" for h, p in site.nodes)
    return f"""\
# Made by `aimirror balance nginx`: to be included in the block `http`.
{nginx_key(site.shapes)}

upstream aimirror {{
    hash $aimirror_key consistent;
{_joined(nodes)}
    keepalive 64;
}}

server {{
    listen {site.port};
    client_max_body_size 0;

    location / {{
        proxy_pass http://aimirror;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_buffering off;
        proxy_request_buffering off;
        proxy_connect_timeout 2s;
        proxy_read_timeout {_SILENCE}s;
        proxy_next_upstream error timeout http_503;
        proxy_next_upstream_tries 3;
    }}
}}
"""


def _ingress_nginx(site: Site) -> str:
    return f"""\
# Made by `aimirror balance ingress-nginx`.
# 1. Into the ConfigMap of the controller (nginx's map needs the block `http`):
data:
  http-snippet: |
{nginx_key(site.shapes, "    ")}
---
# 2. On the Ingress of aimirror:
metadata:
  annotations:
    nginx.ingress.kubernetes.io/upstream-hash-by: "$aimirror_key"
    nginx.ingress.kubernetes.io/proxy-body-size: "0"
    nginx.ingress.kubernetes.io/proxy-buffering: "off"
    nginx.ingress.kubernetes.io/proxy-request-buffering: "off"
    nginx.ingress.kubernetes.io/proxy-connect-timeout: "2"
    nginx.ingress.kubernetes.io/proxy-read-timeout: "{_SILENCE}"
"""


def _envoy(site: Site) -> str:
    endpoints = (
        f"              - endpoint: {{address: {{socket_address: {{address: '{host.strip('[]')}',"
        f" port_value: {port}}}}}}}"
        for host, port in site.nodes
    )
    return f"""\
# Made by `aimirror balance envoy`.
static_resources:
  listeners:
    - name: aimirror
      address: {{socket_address: {{address: 0.0.0.0, port_value: {site.port}}}}}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": {_ENVOY}.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: aimirror
                use_remote_address: true
                stream_idle_timeout: {_SILENCE}s
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config: {{"@type": {_ENVOY}.http.router.v3.Router}}
                route_config:
                  virtual_hosts:
                    - name: aimirror
                      domains: ["*"]
                      retry_policy:
                        retry_on: connect-failure,refused-stream,reset,retriable-status-codes
                        retriable_status_codes: [503]
                        num_retries: 3
                        retriable_request_headers:
                          - {{name: ':method', string_match: {{safe_regex: {{regex: 'GET|HEAD'}}}}}}
                        host_selection_retry_max_attempts: 5
                        retry_host_predicate:
                          - name: envoy.retry_host_predicates.previous_hosts
                            typed_config: {{"@type": {_ENVOY_OTHER}}}
                      routes:
{_joined(_envoy_routes(site.shapes))}
  clusters:
    - name: nodes
      type: STRICT_DNS
      connect_timeout: 2s
      lb_policy: RING_HASH
      health_checks:
        - timeout: 1s
          interval: 1s
          unhealthy_threshold: 2
          healthy_threshold: 2
          http_health_check: {{path: /health}}
      load_assignment:
        cluster_name: nodes
        endpoints:
          - lb_endpoints:
{_joined(endpoints)}
"""


def _envoy_routes(shapes: Iterable[Shape]) -> Iterable[str]:
    """One route for each shape: a policy of hashing can't be chosen by the path otherwise."""
    policy = "hash_policy: [{header: {header_name: ':path'"
    tail = "}}], timeout: 0s}}"
    for shape in shapes:
        bare = shape.pattern.removesuffix("(?:[?].*)?$") + "$"  # it matches without the query
        yield (
            f"                        - {{match: {{safe_regex: {{regex: '{bare}'}}}},"
            f" route: {{cluster: nodes, {policy}, regex_rewrite: {{pattern: {{regex:"
            f" '{shape.pattern}'}}, substitution: '{shape.key}'}}{tail}"
        )
    yield (
        "                        - {match: {prefix: '/'}, route: {cluster: nodes,"
        f" {policy}{tail}"
    )


def _joined(lines: Iterable[str]) -> str:
    return "\n".join(lines)


BALANCERS: Mapping[str, Callable[[Site], str]] = {
    "haproxy": _haproxy,
    "nginx": _nginx,
    "envoy": _envoy,
    "ingress-nginx": _ingress_nginx,
}
