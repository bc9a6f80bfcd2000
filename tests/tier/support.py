"""What the tests of the tier share: a bucket in memory."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.caching.entries import Entry
from aimirror.http.headers import Headers
from aimirror.testing.s3 import ACCESS, SECRET, InMemory, Script
from aimirror.tier.keys import Keys
from aimirror.tier.s3 import Bucket, Place
from aimirror.tier.sigv4 import Secret, Signer

T = TypeVar("T")
KEYS = Keys(("k" * 32,))
URL = "http://files.test/one.bin"


def at_once(function: Callable[..., T], *arguments: Any) -> Deferred[T]:
    return succeed(function(*arguments))


def no_wait(seconds: float) -> Deferred[None]:
    return succeed(None)


def entry(**fields: Any) -> Entry:
    given = {"key": URL, "headers": Headers([("ETag", '"v1"')]), "blob": 64 * "a", "size": 3}
    return Entry(**{**given, **fields})


class TierCase(SynchronousTestCase):
    if find_spec("botocore") is None:
        skip = "botocore is not installed"

    def setUp(self) -> None:
        self.clock = Clock()
        self.script = Script()
        self.bucket = self.bucket_with(Secret(ACCESS, SECRET))

    def bucket_with(self, secret: Secret) -> Bucket:
        place = Place(base="http://s3.test:9000/bucket", prefix="p/")
        signer = Signer("us-east-1", self.clock.seconds, at_once, lambda: lambda: secret)
        return Bucket(place, InMemory(self.script), signer)

    def run_now(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def fail_now(self, coroutine: Coroutine[Any, Any, Any], *errors: type[BaseException]) -> str:
        failure = self.failureResultOf(Deferred.fromCoroutine(coroutine), *errors)
        return str(failure.value)
