from ipaddress import ip_network

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.tasks import FetchResult, FetchTask, Reason
from aimirror.http.egress import Egress, Reach, Timeouts, Trust, Zone
from aimirror.http.headers import Headers
from aimirror.http.validator import Validator
from aimirror.workers.wire.tasks import (
    LARGEST_VALUE,
    LONGEST_DETAIL,
    TaskTooLarge,
    pack_result,
    pack_task,
    unpack_result,
    unpack_task,
)

_latin = st.text(st.characters(max_codepoint=255), max_size=20)
_offsets = st.integers(0, 2**62)
_networks = st.sampled_from(["10.0.0.0/8", "fd00::/8", "127.0.0.1/32"]).map(ip_network)
_reach = st.builds(
    Reach,
    zones=st.frozensets(st.sampled_from(Zone)),
    networks=st.lists(_networks).map(tuple),
    hosts=st.frozensets(_latin),
)
_tasks = st.builds(
    FetchTask,
    id=st.integers(0, 2**40),
    url=_latin,
    headers=st.lists(st.tuples(_latin, _latin)).map(Headers),
    start=_offsets,
    stop=_offsets,
    total=_offsets,
    path=st.binary(max_size=20).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
    validator=st.builds(Validator, _latin, _latin),
    egress=st.builds(
        Egress,
        _latin,
        _reach,
        st.lists(_latin).map(tuple),
        trust=st.builds(Trust, st.lists(_latin).map(tuple), _latin, _latin),
    ),
    timeouts=st.builds(Timeouts, *[st.floats(0, 1e6)] * 3),
    rate_limit=st.integers(0, 2**40),
)
_results = st.builds(
    FetchResult,
    st.sampled_from(Reason),
    _offsets,
    st.integers(0, 999),
    st.none() | st.floats(0, 1e6),
    st.text(max_size=30),
    st.floats(0, 1e6),
)


class TaskTests(SynchronousTestCase):
    @settings(max_examples=50, deadline=None)
    @given(_tasks)
    def test_round_trip(self, task):
        """A task arrives as it was sent, odd bytes in its path and header included."""
        self.assertEqual(unpack_task(pack_task(task)), task)

    def test_too_large(self):
        """A task beyond AMP's limit is refused by name instead of breaking the link."""
        task = FetchTask(1, "http://h/", Headers([("X", "y" * LARGEST_VALUE)]), 0, 1, 1, "p")
        self.assertRaises(TaskTooLarge, pack_task, task)
        fits = evolve(task, headers=Headers([("X", "y" * (LARGEST_VALUE - 2000))]))
        self.assertLessEqual(len(pack_task(fits)), LARGEST_VALUE)


class ResultTests(SynchronousTestCase):
    @settings(max_examples=50, deadline=None)
    @given(_results)
    def test_round_trip(self, result):
        """A result arrives as it was sent."""
        self.assertEqual(unpack_result(pack_result(result)), result)

    def test_long_detail(self):
        """A detail of any length fits into the answer."""
        packed = pack_result(FetchResult(Reason.TLS, 0, detail="\u1234" * 10**6))
        self.assertLessEqual(len(packed), LARGEST_VALUE)
        self.assertEqual(len(unpack_result(packed).detail), LONGEST_DETAIL)
