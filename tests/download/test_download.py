"""The machine of one download, in conversations and in simulated worlds."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.assignment import PROBE
from aimirror.download.commands import (
    Cancel,
    Complete,
    Fail,
    Fetch,
    FetchWhole,
    Hash,
    Once,
    Resolve,
    Restart,
    Trim,
    Wake,
)
from aimirror.download.download import CLEAR, Download
from aimirror.download.flight import GLARING_AFTER
from aimirror.download.life import Phase
from aimirror.download.plan import CROWD, FIRST_PIECE, crowd_piece
from aimirror.download.proof import HOLDBACK
from aimirror.download.sources import MOST_STRIKES
from aimirror.download.spans import Spans
from aimirror.download.tasks import FetchResult, Reason
from aimirror.download.trouble import MOST_RESOLVES
from tests.download.simulation import MB, World, machine

RESET = FetchResult(Reason.RESET, 0)
IDEAL = 64 / 20 + 0.06


def fetches(commands: list[object]) -> list[Fetch]:
    return [c for c in commands if isinstance(c, Fetch)]


def kinds(commands: list[object]) -> set[type]:
    return {type(c) for c in commands}


class Plan(SynchronousTestCase):
    """How a healthy download is cut into pieces."""

    def test_all_slots_are_used_at_once(self) -> None:
        """As soon as the size is known every slot but the probe's gets an ordered piece."""
        download = machine(slots=20)
        given_out = fetches(download.begin(0.0, (0, 1 << 20)))
        self.assertEqual(len(given_out), 19)
        self.assertEqual(given_out[0].start, 1 << 20)
        self.assertEqual([f.start for f in given_out[1:]], [f.stop for f in given_out[:-1]])

    def test_chunk_size_bounds_pieces(self) -> None:
        """A rule's chunk size is the largest piece ever asked for."""
        download = machine(slots=4, chunk_size=100_000)
        for fetch in fetches(download.begin(0.0, None)):
            self.assertLessEqual(fetch.stop - fetch.start, 100_000)

    def test_small_rest_is_one_piece(self) -> None:
        """A rest below the smallest piece is not cut further."""
        download = machine(total=(1 << 20) + 1000, slots=20)
        self.assertEqual(len(fetches(download.begin(0.0, (0, 1 << 20)))), 1)

    def test_reader_that_jumps_gets_its_span_first(self) -> None:
        """With all slots busy, a reader at an untouched place gets a connection at once."""
        download = machine(total=1000 * MB, slots=4)
        download.begin(0.0, (0, 1 << 20))
        commands = download.joined(1, 900 * MB, 1000 * MB, 0.5)
        self.assertIn(Cancel, kinds(commands))
        self.assertEqual(fetches(commands)[0].start, 900 * MB)

    def test_look_into_a_running_piece(self) -> None:
        """A small read far inside a piece on its way gets a connection of its own there."""
        download = machine(total=40 * MB, slots=4)
        download.begin(0.0, (0, 1 << 20))
        last = max(download.assignment.flights.values(), key=lambda flight: flight.stop)
        place = last.stop - 50_000
        commands = download.joined(1, place, last.stop, 0.1)
        self.assertIn(Trim(last.id, place), commands)
        self.assertEqual(fetches(commands)[0].start, place)

    def test_parallel_readers_do_not_fight(self) -> None:
        """However many parts a client reads side by side, it costs few more requests than one."""
        for total, slots in ((40 * MB, 20), (200 * MB, 20)):
            alone = World(machine(total=total, slots=slots), lambda n: {})
            alone.read_in_parts(1, 1)
            seconds = alone.run()
            for readers in (2, 8, 32):
                for order in (1, -1):
                    world = World(machine(total=total, slots=slots), lambda n: {})
                    world.read_in_parts(readers, order)
                    self.assertLessEqual(world.run(), 1.15 * seconds, (total, readers))
                    self.assertLessEqual(world.opened, 1.5 * alone.opened + 2, (total, readers))

    def test_parallel_readers_of_a_host_of_which_nothing_is_known(self) -> None:
        """The same where a first request of all waits for the proof that a second one may follow.

        A piece begins where one ends, not where each reader is, so that no hole is left between.
        """
        for total, rtt, rate in ((40 * MB, 0.2, 3.0 * MB), (40 * MB, 0.03, 1.0 * MB)):

            def world(readers: int, rtt: float = rtt, rate: float = rate, n: int = total) -> World:
                world = World(machine(total=n, unproven=True), lambda n: {"rate": rate}, rtt)
                world.read_in_parts(readers, -1)
                world.all_have_come()
                return world

            alone = world(1)
            seconds = alone.run()
            for readers in (2, 3, 4, 8, 16, 32):
                several = world(readers)
                self.assertLessEqual(several.run(), 1.15 * seconds, (total, readers))
                self.assertLessEqual(several.opened, 1.15 * alone.opened + 1, (total, readers))

    def test_reader_at_the_head_disturbs_nobody(self) -> None:
        """A reader whose bytes are on their way changes nothing."""
        download = machine(total=1000 * MB, slots=4)
        download.begin(0.0, (0, 1 << 20))
        commands = download.joined(1, 0, 1000 * MB, 0.01)
        self.assertEqual(kinds(commands), {Wake})

    def test_few_bytes_tell_no_rate(self) -> None:
        """A rest of some bytes, however it came, lets nobody take over what comes well."""
        for rest in (1, 5000):
            download = machine(total=(1 << 20) + rest, slots=8)
            (last,) = fetches(download.begin(0.0, (0, 1 << 20)))
            download.wrote(PROBE, 0, 256 << 10, 0.04)
            download.wrote(last.id, last.start, last.stop, 0.06)
            done = FetchResult(Reason.DONE, last.stop, latency=0.03)
            self.assertEqual(kinds(download.ended(last.id, done, 0.1)), {Wake})

    def test_crowd_gets_smaller_pieces(self) -> None:
        """When the eighth reader joins, long pieces are shortened, and later ones stay short."""
        download = machine(total=400 * MB, slots=4)
        download.begin(0.0, (0, 1 << 20))
        for reader in range(7):
            self.assertNotIn(Trim, kinds(download.joined(reader, 0, 400 * MB, 0.01)))
        self.assertLessEqual(len(download.joined(7, 0, 400 * MB, 0.02)), 8)
        largest = max(f.stop - f.position for f in download.assignment.flights.values())
        self.assertLessEqual(largest, crowd_piece(400 * MB, 4))

    def test_awaited_crowd(self) -> None:
        """A crowd that waited for the header gets small pieces from the start, the probe's too."""
        download = machine(total=32 * MB, slots=20)
        download.assignment.awaited = CROWD
        commands = download.begin(0.0, (0, 1 << 20))
        self.assertIn(Trim(PROBE, 800_000), commands)
        given_out = fetches(commands)
        self.assertEqual({f.stop - f.start for f in given_out}, {800_000})
        self.assertEqual([given_out[0].start, given_out[-1].stop], [800_000, 16 * MB])
        for reader in range(CROWD):
            self.assertNotIn(Trim, kinds(download.joined(reader, 0, 32 * MB, 0.01)))

    def test_crowd_leaves_the_probe_a_small_file(self) -> None:
        """What is on its way already is not asked for again, however many wait for it."""
        for total in (MB, 1 << 20, (1 << 20) + 1, 2 * MB, 6 * MB):
            download = machine(total=total, slots=8)
            download.assignment.awaited = 5 * CROWD
            commands = download.begin(0.0, (0, min(total, 1 << 20)))
            self.assertNotIn(Trim, kinds(commands), total)
            self.assertEqual(fetches(commands) == [], total <= 1 << 20)

    def test_scarce(self) -> None:
        """While no rate is known, no piece keeps a connection for long that others want."""
        for scarce in (False, True):
            download = machine(total=32 * MB, slots=8)
            download.assignment.allowance.scarce = scarce
            pieces = fetches(download.begin(0.0, None))
            self.assertEqual(max(p.stop - p.start for p in pieces) <= FIRST_PIECE, scarce)

    def test_crowd_leaves_alone_what_ends_soon(self) -> None:
        """Pieces that will be there in a moment are not shortened: their bytes are on the way."""
        for rate, shortened in ((2 * MB, True), (10 * MB, False)):
            download = machine(total=40 * MB, slots=8)
            flights = fetches(download.begin(0.0, None))
            for reader in range(CROWD):
                self.assertNotIn(Trim, kinds(download.joined(reader, 0, 40 * MB, 0.01)))
            for fetch in flights:
                download.wrote(fetch.id, fetch.start, fetch.start + rate // 4, 0.25)
            self.assertEqual(Trim in kinds(download.tick(0.25)), shortened)
            self.assertNotIn(Trim, kinds(download.tick(0.5)))

    def test_waves_of_a_crowd(self) -> None:
        """Each brings half of what is left, the last two are equal, and no byte comes twice."""
        download = machine(total=32 * MB, slots=20)
        download.assignment.awaited = CROWD
        world = World(download, lambda n: {})
        self.assertLessEqual(world.run(), 32 / 20 + 5 * 0.03)
        self.assertEqual(world.fetched, 32 * MB)

    def test_healthy_end_is_left_alone(self) -> None:
        """Idle connections take nothing from others that will be done in a moment."""
        world = World(machine(total=8 * MB, slots=8), lambda n: {"rate": 50.0 * MB})
        world.run()
        self.assertEqual(world.fetched, 8 * MB)

    def test_resumed_bytes_are_not_fetched(self) -> None:
        """Spans kept from before a crash are never asked for again."""
        kept = Spans([(0, 30 * MB), (40 * MB, 50 * MB)])
        download = machine(written=kept)
        world = World(download, lambda n: {})
        world.carry_out(download.begin(world.now, None))
        while world.outcome is None:
            world.step()
        self.assertEqual(world.fetched, 24 * MB)


class Figures(SynchronousTestCase):
    """Times in the simulated world, as shares of the ideal."""

    def ratio(self, **faults: object) -> float:
        worst = 0.0
        for offset in range(7):
            world = World(machine(), lambda n, o=offset: dict(faults) if n % 7 == o else {})
            worst = max(worst, (world.run() + 0.06) / IDEAL)
            self.assertIsInstance(world.outcome, Complete)
            self.assertLess(world.fetched, 1.01 * 64 * MB)
        return worst

    def test_healthy(self) -> None:
        """Twenty equal connections: within 4 % of the ideal, every byte fetched once."""
        world = World(machine(), lambda n: {})
        self.assertLess((world.run() + 0.06) / IDEAL, 1.04)
        self.assertEqual(world.fetched, 64 * MB)

    def test_crawling(self) -> None:
        """Every seventh connection at 10 kB/s: within 1.17 of the ideal."""
        self.assertLess(self.ratio(rate=10_000.0), 1.17)

    def test_dead(self) -> None:
        """Every seventh connection dead after 16 kB: within 1.17 of the ideal."""
        self.assertLess(self.ratio(dies_after=16_000), 1.17)

    def test_looks_when_something_can_be_told(self) -> None:
        """A connection that brings next to nothing is judged as soon as that is clear."""
        download = machine()
        download.assignment.latency = 0.03
        download.begin(0.0, None)
        for flight in list(download.assignment.flights.values()):
            begin = flight.start
            download.wrote(flight.id, begin, begin + (2000 if flight.id == 3 else 300_000), 0.3)
        download.tick(0.25)
        download.tick(0.5)
        for flight in list(download.assignment.flights.values()):
            if flight.id != 3:
                download.wrote(flight.id, flight.position, flight.position + 300_000, 0.6)
        wakes = [c.at for c in download.tick(0.62) if isinstance(c, Wake)]
        self.assertEqual(wakes, [0.3 + GLARING_AFTER + CLEAR])
        self.assertEqual([c for c in download.tick(wakes[0]) if isinstance(c, Cancel)], [Cancel(3)])

    def test_called_late(self) -> None:
        """Who is called later than wanted does not judge by what was not heard of yet."""
        download = machine()
        download.assignment.latency = 0.03
        download.begin(0.0, None)
        download.tick(0.25)
        self.assertEqual(download.assignment.lag, 0.0)
        for moment, count in ((0.3, 300_000), (0.6, 600_000)):
            for flight in list(download.assignment.flights.values()):
                came = 2000 if flight.id == 3 else count
                download.wrote(flight.id, flight.position, flight.position + came, moment)
        self.assertNotIn(Cancel(3), download.tick(1.0))
        self.assertAlmostEqual(download.assignment.lag, 1.0 - 0.46)
        self.assertIn(Cancel(3), download.tick(1.05))
        self.assertAlmostEqual(download.assignment.lag, 0.54 / 2)

    def test_few_connections_and_many_crawl(self) -> None:
        """The last few to fly crawl, or most do: it is seen by what others brought before."""
        for every, bound in ((5, 3.5), (3, 5.5), (2, 11.0)):
            for offset in range(every):
                world = World(
                    machine(total=40 * MB, slots=8, chunk_size=MB),
                    lambda n, e=every, o=offset: {"rate": 10_000.0 if n % e == o else 4.0 * MB},
                )
                seconds = world.run()
                self.assertIsInstance(world.outcome, Complete)
                self.assertLess(seconds, bound, (every, offset))
                self.assertLess(world.fetched, 41 * MB)

    def test_line_that_gets_slow_is_accepted(self) -> None:
        """When the whole line has become slow, connections are not replaced for ever."""
        world = World(
            machine(total=40 * MB, slots=8, chunk_size=MB),
            lambda n: {"rate": 4.0 * MB if n < 16 else 0.1 * MB},
        )
        world.run()
        self.assertIsInstance(world.outcome, Complete)
        self.assertLess(world.fetched, 41 * MB)
        self.assertLess(world.opened, 110)

    def test_uniformly_slow_line_is_accepted(self) -> None:
        """When all connections are slow, none is dropped for it."""
        world = World(machine(total=2 * MB), lambda n: {"rate": 10_000.0})
        world.run()
        self.assertLess(world.fetched, 2.2 * MB)


class SeveralSources(SynchronousTestCase):
    """Upstreams add up, whatever limits them."""

    def seconds(self, rates: list[float], own: float) -> float:
        """What 40 MB take from hosts of these rates, the others being found a round trip later."""
        world = World(
            machine(total=40 * MB),
            lambda n: {"rate": own},
            host_rates=dict(enumerate(rates)),
        )
        world.found = list(range(1, len(rates)))
        seconds = world.run()
        self.assertLess(world.fetched, 42 * MB)
        return seconds

    def test_hosts_that_limit_themselves(self) -> None:
        """Two and three mirrors of 3 MB/s each take a half and a third of the time of one."""
        for hosts in (1, 2, 3):
            ideal = 40 / (3 * hosts)
            self.assertLess(self.seconds([3.0 * MB] * hosts, 3.0 * MB), 1.15 * ideal, hosts)

    def test_unequal_hosts(self) -> None:
        """A fast and a slow one bring what both bring together."""
        self.assertLess(self.seconds([6.0 * MB, 2.0 * MB], 6.0 * MB), 1.2 * 40 / 8)

    def test_hosts_behind_a_shaper(self) -> None:
        """Where each connection has its rate, all are used, wherever they go."""
        for hosts in (1, 2, 3):
            self.assertLess(self.seconds([1000.0 * MB] * hosts, 1.0 * MB), 1.15 * 40 / 20, hosts)


class FewConnections(SynchronousTestCase):
    """Hosts that bear few connections, and say so in their own ways."""

    WAYS = (
        FetchResult(Reason.STATUS, 0, status=403),
        FetchResult(Reason.STATUS, 0, status=404),
        FetchResult(Reason.STATUS, 0, status=503),
        FetchResult(Reason.CONNECT, 0),
        FetchResult(Reason.RESET, 0),
        None,
    )

    def test_all_that_it_bears_are_used(self) -> None:
        """However one connection too many is refused, the file comes by as many as are borne."""
        for bears in (1, 2, 4):
            for way in self.WAYS:
                world = World(machine(total=20 * MB), lambda n: {}, bears=bears, overload=way)
                seconds = world.run()
                self.assertIsInstance(world.outcome, Complete, way)
                self.assertEqual(world.fetched, 20 * MB)
                self.assertLess(seconds, 1.5 * 20 / bears + 5.0, (bears, way))
                self.assertFalse(any(isinstance(c, Resolve) for c in world.log), (bears, way))
                self.assertGreater(world.refused, 0)

    def test_others_have_the_connections(self) -> None:
        """While others of the host's connections work, a refusal does not fail a download."""
        download = machine(total=10 * MB, slots=4)
        now, waiting = 0.0, fetches(download.begin(0.0, None))
        for _ in range(8):
            gone = FetchResult(Reason.STATUS, 0, status=403)
            commands = [c for f in waiting for c in download.ended(f.id, gone, now, beside=2)]
            self.assertNotIn(Fail, kinds(commands))
            if Resolve in kinds(commands):
                commands += download.unresolved(0, gone, now, beside=2)
            now += 31.0
            waiting = fetches(commands + download.tick(now))

    def test_expired_address_beside_a_running_piece(self) -> None:
        """An address that has expired is found out once the pieces that still run have ended."""
        download = machine(total=10 * MB, slots=4)
        first, *others = fetches(download.begin(0.0, None))
        download.wrote(first.id, first.start, first.stop, 0.5)
        gone = FetchResult(Reason.STATUS, 0, status=403)
        for fetch in others:
            self.assertNotIn(Resolve, kinds(download.ended(fetch.id, gone, 0.6)))
        done = FetchResult(Reason.DONE, first.stop, latency=0.03)
        commands = download.ended(first.id, done, 1.5)
        (next_,) = fetches(commands)
        self.assertIn(Resolve, kinds(download.ended(next_.id, gone, 1.6)))


class Faults(SynchronousTestCase):
    """What each failure of a piece leads to."""

    def setUp(self) -> None:
        self.download = machine(total=10 * MB, slots=4)
        self.first = fetches(self.download.begin(0.0, None))

    def end(self, fetch: Fetch, reason: Reason, now: float = 1.0, **rest: object) -> list[object]:
        stop = rest.pop("stop", fetch.start)
        result = FetchResult(reason, stop, **rest)  # type: ignore[arg-type]
        return list(self.download.ended(fetch.id, result, now))

    def test_worker_lost(self) -> None:
        """What a dead worker had left is handed out again at once, from where it was."""
        fetch = self.first[0]
        self.download.wrote(fetch.id, fetch.start, fetch.start + 1000, 0.5)
        again = fetches(self.end(fetch, Reason.WORKER_LOST, stop=fetch.start + 1000))
        self.assertEqual(again[0].start, fetch.start + 1000)

    def test_refused_connections_lower_the_number(self) -> None:
        """Refusals while siblings fly never fail the download; fewer connections are used."""
        for fetch in self.first[:3]:
            self.assertNotIn(Fail, kinds(self.end(fetch, Reason.CONNECT)))
        last = self.first[3]
        self.download.wrote(last.id, last.start, last.stop, 30.0)
        commands = self.end(last, Reason.DONE, 30.0, stop=last.stop)
        self.assertEqual(len(fetches(commands)), 1)

    def test_dead_upstream_fails_after_bounded_tries(self) -> None:
        """Without any progress the download ends after a bounded number of attempts."""
        now, commands, rounds = 1.0, [c for f in self.first for c in self.end(f, Reason.RESET)], 0
        while Fail not in kinds(commands):
            now, rounds = now + 40.0, rounds + 1
            commands = list(self.download.tick(now))
            commands += [c for f in fetches(commands) for c in self.end(f, Reason.RESET, now)]
            whole = [c.id for c in commands if isinstance(c, FetchWhole)]
            commands += [c for i in whole for c in self.download.ended(i, RESET, now)]
            self.assertLess(rounds, MOST_STRIKES + 2)

    def test_busy_upstream_is_obeyed(self) -> None:
        """After a 429 with Retry-After nothing is asked until that time has passed."""
        for fetch in self.first:
            self.end(fetch, Reason.STATUS, status=429, retry_after=5.0)
        self.assertEqual(fetches(self.download.tick(5.5)), [])
        self.assertEqual(len(fetches(self.download.tick(6.1))), 1)

    def test_expired_address_is_resolved_once(self) -> None:
        """A 403 on pieces asks the original URL once, then all go on."""
        one = self.end(self.first[0], Reason.STATUS, status=403)
        two = self.end(self.first[1], Reason.STATUS, status=403)
        self.assertEqual(sum(isinstance(c, Resolve) for c in one + two), 1)
        self.assertEqual(fetches(one + two), [])
        self.assertEqual(len(fetches(self.download.resolved(0, 2.0))), 2)

    def test_endless_expiry_fails(self) -> None:
        """An upstream that says 403 to every new address is asked for all once, then it is over."""
        waiting, commands = list(self.first), []
        for _ in range(MOST_RESOLVES * 5):
            commands = [c for f in waiting for c in self.end(f, Reason.STATUS, status=403)]
            if FetchWhole in kinds(commands):
                break
            waiting = fetches(self.download.resolved(0, 2.0))
        self.assertIn(Once, kinds(commands))
        (whole,) = [c for c in commands if isinstance(c, FetchWhole)]
        gone = FetchResult(Reason.STATUS, 0, status=403)
        commands = self.download.ended(whole.id, gone, 3.0)
        fail = next(c for c in commands if isinstance(c, Fail))
        self.assertEqual(fail.status, 403)

    def test_change_restarts(self) -> None:
        """A piece of another version restarts everything; nothing more is handed out."""
        commands = self.end(self.first[0], Reason.CHANGED)
        self.assertIn(Restart, kinds(commands))
        self.assertEqual(self.download.phase, Phase.RESTARTED)
        self.assertEqual(self.download.tick(9.0), [])

    def test_lying_ranges_fall_back_to_one_stream(self) -> None:
        """An upstream whose ranges lie is read in one plain stream; if that fails, it is over."""
        commands = self.end(self.first[0], Reason.BAD_RANGE)
        (whole,) = [c for c in commands if isinstance(c, FetchWhole)]
        self.assertEqual(fetches(commands), [])
        short = FetchResult(Reason.SHORT, 5)
        self.assertIn(Fail, kinds(self.download.ended(whole.id, short, 2.0)))

    def test_late_end_of_a_dropped_piece_is_not_that_of_the_stream(self) -> None:
        """When the one stream has begun, the ends of pieces dropped for it change nothing."""
        probed = machine(total=10 * MB, slots=4)
        others = fetches(probed.begin(0.0, (0, MB)))
        commands = probed.ended(others[0].id, FetchResult(Reason.BAD_RANGE, others[0].start), 1.0)
        (whole,) = [c for c in commands if isinstance(c, FetchWhole)]
        for late in (0, *(f.id for f in others[1:])):
            self.assertEqual(probed.ended(late, FetchResult(Reason.CANCELLED, 0), 1.0), [])
        self.assertIn(Fail, kinds(probed.ended(whole.id, FetchResult(Reason.RESET, 5), 2.0)))

    def test_one_stream_is_not_judged_as_a_slow_connection(self) -> None:
        """However slow the one stream is, it is all there is: it is never dropped."""
        fetch = self.first[0]
        self.download.wrote(fetch.id, fetch.start, fetch.stop, 0.5)
        self.end(fetch, Reason.DONE, 0.5, stop=fetch.stop)
        self.end(self.first[1], Reason.WHOLE)
        for moment in range(2, 60):
            self.assertEqual(kinds(self.download.tick(float(moment))), {Wake})

    def test_crowd_does_not_shorten_the_one_stream(self) -> None:
        """A crowd that joins while all is read in one stream leaves it its end."""
        commands = self.end(self.first[0], Reason.WHOLE)
        (whole,) = [c for c in commands if isinstance(c, FetchWhole)]
        for reader in range(2 * CROWD):
            self.assertEqual(kinds(self.download.joined(reader, 0, 10 * MB, 1.5)), {Wake})
        self.assertEqual(kinds(self.download.tick(1.8)), {Wake})
        self.assertEqual(self.download.assignment.flights[whole.id].stop, self.download.total)

    def test_every_end_of_the_one_stream_ends_the_download(self) -> None:
        """Whatever ends the stream early, the machine does not wait for ever."""
        for reason in Reason:
            download = machine(total=10 * MB, slots=4)
            first = fetches(download.begin(0.0, None))[0]
            commands = download.ended(first.id, FetchResult(Reason.WHOLE, 0), 1.0)
            (whole,) = [c for c in commands if isinstance(c, FetchWhole)]
            over = kinds(download.ended(whole.id, FetchResult(reason, 7, status=403), 2.0))
            self.assertTrue(over & {Fail, Restart}, reason)

    def test_disk_full_fails_at_once(self) -> None:
        """A full disk is no reason to ask the upstream again."""
        self.assertIn(Fail, kinds(self.end(self.first[0], Reason.DISK_FULL)))

    def test_second_source_takes_over(self) -> None:
        """With another upstream alive, losing the first one does not end the download."""
        self.download.add_source(1, 0.5)
        for fetch in self.first:
            self.assertNotIn(Fail, kinds(self.end(fetch, Reason.CONNECT)))
        self.assertEqual({f.source for f in self.download.assignment.flights.values()}, {1})
        unresolved = FetchResult(Reason.STATUS, 0, status=404)
        self.assertNotIn(Fail, kinds(self.download.unresolved(0, unresolved, 2.0)))
        self.assertFalse(self.download.assignment.sources[0].alive)
        (_, whole) = self.download.unresolved(1, unresolved, 2.0)[-2:]
        self.assertEqual(whole.source, 1)
        self.assertIn(Fail, kinds(self.download.ended(whole.id, unresolved, 3.0)))

    def test_one_range_only(self) -> None:
        """Where but the first range is refused, one request for all is the last try."""
        for status in (204, 400, 404, 500):
            self.setUp()
            now, commands = 1.0, []
            gone = FetchResult(Reason.STATUS, 0, status=status)
            flying = list(self.first)
            while FetchWhole not in kinds(commands):
                now += 31.0
                commands = [c for f in flying for c in self.download.ended(f.id, gone, now)]
                if Resolve in kinds(commands):
                    commands += self.download.unresolved(0, gone, now)
                flying = fetches(commands + self.download.tick(now + 31.0))
                self.assertLess(now, 31.0 * (MOST_STRIKES + 2))
            self.assertNotIn(Fail, kinds(commands))

    def test_trouble_of_one_source_does_not_slow_the_other(self) -> None:
        """Refusals and Retry-After of one upstream leave the other's connections alone."""
        self.download = machine(total=1000 * MB, slots=2)
        self.download.begin(0.0, None)
        self.download.add_source(1, 0.5)
        self.download.allowed(6, 0.5)
        theirs = [f for f in self.download.assignment.flights.values() if f.source == 1]
        busy = FetchResult(Reason.STATUS, 0, status=429, retry_after=60.0)
        again = [c for f in theirs for c in self.download.ended(f.id, busy, 1.0)]
        self.assertGreater(len(theirs), 0)
        self.assertEqual({c.source for c in fetches(again)}, {0})
        self.assertEqual(len(self.download.assignment.flights), 6)

    def test_second_source_with_another_version_is_left_out(self) -> None:
        """When a further upstream turns out to have another file, the first one's goes on."""
        self.download = machine(total=1000 * MB, slots=2)
        self.download.begin(0.0, None)
        self.download.add_source(1, 0.5)
        self.download.allowed(6, 0.5)
        theirs = next(f for f in self.download.assignment.flights.values() if f.source == 1)
        commands = self.download.ended(theirs.id, FetchResult(Reason.CHANGED, 0), 1.0)
        self.assertNotIn(Restart, kinds(commands))
        self.assertFalse(self.download.assignment.sources[1].alive)

    def test_failed_over_download_knows_its_source(self) -> None:
        """A download that began at the second upstream asks that one, for pieces and addresses."""
        download = machine(total=10 * MB, slots=4, primary=1)
        first = fetches(download.begin(0.0, (0, MB)))
        self.assertEqual({f.source for f in first}, {1})
        expired = FetchResult(Reason.STATUS, 0, status=403)
        self.assertIn(Resolve(1), download.ended(first[0].id, expired, 1.0))


class Proof(SynchronousTestCase):
    """The digest has the last word."""

    def fill(self, download: Download) -> list[object]:
        out: list[object] = []
        for fetch in fetches(download.begin(0.0, None)):
            out += download.wrote(fetch.id, fetch.start, fetch.stop, 1.0)
            out += download.ended(fetch.id, FetchResult(Reason.DONE, fetch.stop), 1.0)
        return out

    def test_last_block_is_held_back(self) -> None:
        """With an expected digest the tail is readable only after it has matched."""
        download = machine(total=MB, slots=8, digest=("sha256", "ab"))
        self.assertIn(Hash, kinds(self.fill(download)))
        self.assertEqual(download.readable(0), MB - HOLDBACK)
        commands = download.hashed(MB, {"sha256": "ab"}, 2.0)
        self.assertIn(Complete, kinds(commands))
        self.assertEqual(download.readable(0), MB)

    def test_wrong_digest_restarts_in_quarantine(self) -> None:
        """A mismatch never completes: the bytes go to quarantine."""
        download = machine(total=MB, slots=8, digest=("sha256", "ab"))
        self.fill(download)
        (restart,) = download.hashed(MB, {"sha256": "cd"}, 2.0)
        self.assertTrue(isinstance(restart, Restart) and restart.quarantine)
        self.assertEqual(download.readable(0), MB - HOLDBACK)


class Worlds(SynchronousTestCase):
    """Random worlds."""

    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 2**32), st.integers(1, 4 * MB), st.integers(1, 24))
    def test_every_world_ends_right(self, seed: int, total: int, slots: int) -> None:
        """Whatever dies or crawls, the machine ends, and complete means every byte was written."""
        chance = random.Random(seed)

        def behave(n: int) -> dict[str, object]:
            kind = chance.choice(["fine"] * 6 + ["slow", "dead", "lost", "reset", "busy"])
            failures = {
                "lost": FetchResult(Reason.WORKER_LOST, 0),
                "reset": FetchResult(Reason.RESET, 0),
                "busy": FetchResult(Reason.STATUS, 0, status=503, retry_after=0.5),
            }
            if kind in failures and n:
                return {"fails": failures[kind]}
            if kind == "dead" and n:
                return {"dies_after": chance.randint(0, 50_000)}
            return {"rate": chance.uniform(0.5, 1.5) * MB * (0.02 if kind == "slow" else 1)}

        world = World(machine(total=total, slots=slots), behave)
        jumps = [chance.randrange(total) for _ in range(3)]
        world.machine.joined(1, 0, total, world.now)
        for number, place in enumerate(jumps):
            world.carry_out(world.machine.joined(number + 2, place, total, world.now))
        world.run(3600.0)
        if isinstance(world.outcome, Complete):
            self.assertTrue(world.covered.covers(0, total))
