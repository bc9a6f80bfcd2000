"""Tasks and results as AMP values: one JSON array each.

Both ends are always of one version, so fields go by position.
"""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import Any

from aimirror.download.tasks import FetchResult, FetchTask, Reason, SendResult, SendTask
from aimirror.http.egress import Egress, Reach, Timeouts, Trust, Zone
from aimirror.http.headers import Headers
from aimirror.http.validator import Validator

#: Bytes: an AMP value has a 16-bit length.
LARGEST_VALUE = 0xFFFF
#: Characters of a result's detail: a line for people, not a copy of an answer.
LONGEST_DETAIL = 1000


class TaskTooLarge(Exception):
    """A task's fields do not fit into one message to a worker."""


def pack_task(task: FetchTask) -> bytes:
    """Raises TaskTooLarge."""
    return _checked(
        [
            task.id,
            task.url,
            task.headers.items,
            [task.start, task.stop, task.total],
            task.path,
            [task.validator.etag, task.validator.last_modified],
            _packed_egress(task.egress),
            [task.timeouts.connect, task.timeouts.header, task.timeouts.silence],
            task.rate_limit,
        ]
    )


def pack_send(task: SendTask) -> bytes:
    """Raises TaskTooLarge."""
    return _checked(
        [
            task.url,
            task.headers.items,
            task.path,
            task.start,
            task.stop,
            _packed_egress(task.egress),
            [task.timeouts.connect, task.timeouts.header, task.timeouts.silence],
            task.rate_limit,
        ]
    )


def unpack_send(packed: bytes) -> SendTask:
    """The inverse of ``pack_send``."""
    url, headers, path, start, stop, egress, timeouts, rate_limit = json.loads(packed)
    fields = Headers((name, value) for name, value in headers)
    out, limits = _egress(*egress), Timeouts(*timeouts)
    return SendTask(url, fields, path, start, stop, out, limits, rate_limit)


def pack_sent(result: SendResult) -> bytes:
    """A detail that is too long is cut."""
    return _dump([result.status, result.etag, result.detail[:LONGEST_DETAIL]])


def unpack_sent(packed: bytes) -> SendResult:
    """The inverse of ``pack_sent``."""
    return SendResult(*json.loads(packed))


def _checked(fields: list[Any]) -> bytes:
    packed = _dump(fields)
    if len(packed) > LARGEST_VALUE:
        raise TaskTooLarge(f"URL and header take {len(packed)} bytes, at most {LARGEST_VALUE} fit")
    return packed


def unpack_task(packed: bytes) -> FetchTask:
    """The inverse of ``pack_task``."""
    (id_, url, headers, span, path, validator, egress, timeouts, rate_limit) = json.loads(packed)
    return FetchTask(
        id=id_,
        url=url,
        headers=Headers((name, value) for name, value in headers),
        start=span[0],
        stop=span[1],
        total=span[2],
        path=path,
        validator=Validator(*validator),
        egress=_egress(*egress),
        timeouts=Timeouts(*timeouts),
        rate_limit=rate_limit,
    )


def pack_result(result: FetchResult) -> bytes:
    """A detail that is too long is cut."""
    return _dump(
        [
            result.reason.name,
            result.stop,
            result.status,
            result.retry_after,
            result.detail[:LONGEST_DETAIL],
            result.latency,
            result.kept,
        ]
    )


def unpack_result(packed: bytes) -> FetchResult:
    """The inverse of ``pack_result``."""
    name, *rest = json.loads(packed)
    return FetchResult(Reason[name], *rest)


def _packed_egress(egress: Egress) -> list[Any]:
    reach = egress.reach
    return [
        egress.proxy,
        sorted(zone.name for zone in reach.zones),
        [str(network) for network in reach.networks],
        sorted(reach.hosts),
        [str(network) for network in reach.refused],
        egress.no_proxy,
        egress.plain_proxy,
        [egress.trust.ca_files, egress.trust.certificate, egress.trust.key],
    ]


def _egress(
    proxy: str,
    zones: list[str],
    networks: list[str],
    hosts: list[str],
    refused: list[str],
    no_proxy: list[str],
    plain_proxy: str | None,
    trust: list[Any],
) -> Egress:
    reach = Reach(
        zones=frozenset(Zone[name] for name in zones),
        networks=tuple(ip_network(network) for network in networks),
        hosts=frozenset(hosts),
        refused=tuple(ip_network(network) for network in refused),
    )
    ca_files, *shown = trust
    return Egress(proxy, reach, tuple(no_proxy), plain_proxy, Trust(tuple(ca_files), *shown))


def _dump(fields: list[Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode("ascii")
