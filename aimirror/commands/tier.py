"""``aimirror tier``: the store behind the caches of all nodes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from aimirror.commands.common import Commands, Complaint, add_config
from aimirror.commands.words import size
from aimirror.config import Config
from aimirror.service.tiering import PATIENT, Behind, behind
from aimirror.store import records
from aimirror.tap import configured
from aimirror.tier.names import LARGEST_ENTRY, unpacked
from aimirror.tier.probe import refused
from aimirror.tier.s3 import StoreError
from aimirror.tier.upkeep import KINDS, objects, verify
from aimirror.upstream.agent import Agents
from aimirror.upstream.client import Upstream

T = TypeVar("T")

#: Days after which the store's own rule removes what nobody has written or renewed.
DAYS = 90
#: Days after which it removes uploads that were never ended.
UPLOAD_DAYS = 2


def add(commands: Commands) -> None:
    """The parsers of this command."""
    parser = commands.add_parser("tier")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, run, words in (
        ("check", check, "say whether the store can be used, and what it does not do"),
        ("ls", show, "list what is in the store"),
        ("verify", prove, "read everything in the store and delete what is damaged"),
        ("policy", policy, "print the rights and the lifecycle rule that the bucket needs"),
    ):
        action = actions.add_parser(name, help=words)
        add_config(action)
        action.set_defaults(run=run)
        if name == "ls":
            action.add_argument("--count", "-n", type=int, default=50, help="URLs (50)")


def check(given: argparse.Namespace) -> int:
    """Write, read, lie, delete: what the store makes of it."""
    report = _with_store(given, lambda store: store.probe.run())
    for each in report:
        word = "yes" if each.holds else ("NO" if each.needed else "no")
        print(f"{word:>4}  {each.what}" + (f": {each.detail}" if each.detail else ""))
    problem = refused(report)
    if problem:
        raise Complaint(f"this store can't be used: {problem}")
    return 0


def show(given: argparse.Namespace) -> int:
    """Totals, and the URLs of some entries."""
    lines = _with_store(given, lambda store: _listed(store, given.count))
    print("\n".join(lines))
    return 0


async def _listed(store: Behind, count: int) -> list[str]:
    lines: list[str] = []
    names: list[str] = []
    for kind in KINDS:
        number = total = 0
        async for name, length in objects(store.bucket, f"{kind}/"):
            number, total = number + 1, total + length
            if kind == "entries" and len(names) < count:
                names.append(name)
        lines.append(f"{number} {kind}, {size(total)}")
    for name in names:
        data = await store.bucket.get(name, LARGEST_ENTRY)
        record = unpacked(name, data, store.keys) if data is not None else None
        if isinstance(record, str):
            entry = records.load(record)
            lines.append(f"{size(entry.size):>9} {entry.key}")
    return lines


def prove(given: argparse.Namespace) -> int:
    """Read all; status 1 when some of it was wrong."""
    checked = _with_store(given, lambda store: verify(store.bucket, store.keys))
    for name in checked.bad:
        print(f"deleted {name}")
    print(f"{checked.right} objects right, {size(checked.bytes)}; {len(checked.bad)} deleted")
    return 1 if checked.bad else 0


def policy(given: argparse.Namespace) -> int:
    """Two JSON documents: for IAM, and for put-bucket-lifecycle-configuration."""
    tier = _configured(given).tier
    assert tier is not None
    bucket = tier.url.removeprefix("s3://").partition("/")[0]
    arn = f"arn:aws:s3:::{bucket}"
    objects_ = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    rights = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": objects_, "Resource": f"{arn}/{tier.prefix}*"},
            {
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": arn,
                "Condition": {"StringLike": {"s3:prefix": f"{tier.prefix}*"}},
            },
        ],
    }
    rule = {
        "ID": "aimirror",
        "Status": "Enabled",
        "Filter": {"Prefix": tier.prefix},
        "Expiration": {"Days": DAYS},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": UPLOAD_DAYS},
    }
    print(json.dumps(rights, indent=2))
    print(json.dumps({"Rules": [rule]}, indent=2))
    return 0


def _configured(given: argparse.Namespace) -> Config:
    config = configured(given.config)
    if config.tier is None:
        raise Complaint(f"{config.source}: there is no tier in it")
    return config


def _with_store(given: argparse.Namespace, work: Callable[[Behind], Awaitable[T]]) -> T:
    """Do something with the store, in a reactor of our own."""
    from twisted.internet import reactor as real

    reactor: object = real
    config = _configured(given)
    upstream = Upstream(Agents(reactor))  # type: ignore[arg-type]
    store = behind(config, upstream, reactor, deferToThread, PATIENT)  # type: ignore[arg-type]
    assert store is not None
    results: list[T] = []
    problems: list[str] = []

    async def run() -> None:
        try:
            results.append(await work(store))
        except StoreError as error:
            problems.append(f"{store.bucket.place.base}: {error}")

    def begin() -> None:
        working = Deferred.fromCoroutine(run())
        working.addErrback(lambda f: problems.append(f.getErrorMessage()))
        working.addBoth(lambda _: real.stop())

    real.callWhenRunning(begin)
    real.run()
    if problems:
        raise Complaint(problems[0])
    return results[0]
