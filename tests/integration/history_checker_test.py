#!/usr/bin/env python3
"""Histories with planted faults: history_checker.py must complain of each, and of no sound one."""
import unittest
import zlib

import harness
from history_checker import (APPLIED, CONDITIONAL, DUPLICATE, HEAD, MISMATCH, NOT_APPLIED, PARTIAL,
                             PLAIN, PRODUCER, READ, TAIL, UNKNOWN, Op, Window, available_share,
                             check_reads, check_stream, clean_seconds, line)


class History:
    """A sound one to begin with: every call takes a tenth of a second, one after the other."""

    def __init__(self):
        self.content = b""
        self.ops = []
        self.now = 0.0

    def add(self, kind, outcome, client, number=0, **more):
        self.ops.append(Op(kind, outcome, client, number, 1, self.now, self.now + 0.1, **more))
        self.now += 1

    def append(self, client, number, kind=PLAIN, outcome=APPLIED, stored=True, **more):
        if stored:
            self.content += line(client, number)
        self.add(kind, outcome, client, number, **{"end": len(self.content), **more})

    def read(self, start=0, end=None, client=50, outcome=APPLIED, kind=READ, number=0):
        end = len(self.content) if end is None else end
        self.add(kind, outcome, client, number, start=start, end=end,
                 crc=zlib.crc32(self.content[start:end]))

    def kinds(self):
        return sorted(check_stream("s", self.ops, self.content).counts)


class Sound(unittest.TestCase):
    def test_nothing_is_said_of_sound_histories(self):
        history = History()
        history.append(1, 0)
        history.read()
        history.append(2, 0, PRODUCER, UNKNOWN)
        history.append(2, 0, PRODUCER, DUPLICATE, stored=False)
        history.append(1, 1, outcome=UNKNOWN, stored=False)
        history.append(1, 2, outcome=NOT_APPLIED, stored=False)
        history.append(1, 3, outcome=UNKNOWN)
        tail = len(history.content)
        history.append(3, 0, CONDITIONAL, start=tail)
        history.append(4, 0, CONDITIONAL, MISMATCH, stored=False, start=tail)
        history.read(start=tail)
        history.read(end=tail, outcome=PARTIAL)
        history.add(HEAD, APPLIED, 51, end=len(history.content))
        history.read(end=tail, client=60, kind=TAIL)
        history.read(start=tail, client=60, kind=TAIL, number=1)
        self.assertEqual(check_stream("s", history.ops, history.content).texts, [])

    def test_what_runs_side_by_side_may_stand_in_any_order(self):
        for first, second in ((1, 2), (2, 1)):
            content = line(first, 0) + line(second, 0)
            ends = {first: len(line(first, 0)), second: len(content)}
            ops = [Op(PLAIN, APPLIED, client, 0, 1, 0.0, 1.0, end=ends[client])
                   for client in (1, 2)]
            ops += [Op(READ, APPLIED, 50, 0, 2, 0.5, 1.5, 0, tail, zlib.crc32(content[:tail]))
                    for tail in (ends[first], ends[second])]
            self.assertEqual(check_stream("s", ops, content).texts, [])


class Planted(unittest.TestCase):
    """Each history has one fault; the words are what must be said."""

    def setUp(self):
        self.history = History()
        for number in range(3):
            self.history.append(1, number)
            self.history.append(2, number, PRODUCER)

    def expect(self, *kinds):
        self.assertEqual(self.history.kinds(), sorted(kinds))

    def test_a_lost_append(self):
        self.history.append(1, 3, stored=False)
        self.expect("lost")

    def test_a_lost_duplicate(self):
        self.history.append(2, 3, PRODUCER, DUPLICATE, stored=False)
        self.expect("lost")

    def test_a_doubled_append(self):
        self.history.content += line(2, 1)
        self.expect("doubled")

    def test_a_plain_append_of_unknown_outcome_that_is_there_twice(self):
        self.history.append(1, 3, outcome=UNKNOWN)
        self.history.content += line(1, 3)
        self.expect("doubled")

    def test_an_append_that_two_tries_were_told_of(self):
        self.history.append(2, 3, PRODUCER)
        self.history.append(2, 3, PRODUCER, stored=False)
        self.expect("applied twice")

    def test_a_refused_append_that_is_there(self):
        self.history.append(1, 3, outcome=NOT_APPLIED)
        self.expect("applied after all")

    def test_reordered_appends_of_a_producer(self):
        self.history.append(2, 4, PRODUCER, UNKNOWN)
        self.history.append(2, 3, PRODUCER, UNKNOWN)
        self.expect("reordered")

    def test_an_append_before_one_that_was_answered_earlier(self):
        last = self.history.ops[-1]
        self.history.ops[-1] = last._replace(invoked=-5.0, answered=-4.0)
        self.expect("order", "stale")

    def test_an_unknown_append_before_one_that_was_answered_earlier(self):
        last = self.history.ops[2]
        self.history.ops[2] = last._replace(outcome=UNKNOWN, end=0, invoked=4.5)
        self.expect("order")

    def test_a_stale_read_after_an_acknowledged_append(self):
        self.history.read(end=self.history.ops[-2].end)
        self.expect("stale")

    def test_a_stale_head(self):
        self.history.add(HEAD, APPLIED, 51, end=self.history.ops[-2].end)
        self.expect("stale")

    def test_a_read_that_goes_back(self):
        # The append that the first one saw is not answered before both have ended.
        last = self.history.ops[-1]
        self.history.ops[-1] = last._replace(answered=100.0)
        self.history.read()
        self.history.read(end=self.history.ops[-3].end, client=51)
        self.expect("stale")

    def test_a_read_of_other_bytes(self):
        self.history.read()
        self.history.ops[-1] = self.history.ops[-1]._replace(crc=1)
        self.expect("wrong bytes")

    def test_a_page_of_other_bytes(self):
        self.history.read(outcome=PARTIAL)
        self.history.ops[-1] = self.history.ops[-1]._replace(crc=1)
        self.expect("wrong bytes")

    def test_a_read_of_what_is_not_there_in_the_end(self):
        self.history.add(HEAD, APPLIED, 51, end=len(self.history.content) + 40)
        self.expect("no such tail")

    def test_a_read_of_half_an_append(self):
        self.history.read(end=len(self.history.content) - 1)
        self.expect("no such tail", "stale")

    def test_a_read_of_what_comes_later(self):
        self.history.ops[-1] = self.history.ops[-1]._replace(invoked=50.0, answered=50.1)
        self.history.read()
        self.expect("order")

    def test_a_conditional_append_that_two_won(self):
        tail = len(self.history.content)
        self.history.append(3, 0, CONDITIONAL, start=tail)
        self.history.append(4, 0, CONDITIONAL, start=tail)
        self.expect("condition")

    def test_a_conditional_append_that_two_won_and_one_of_them_is_gone(self):
        tail = len(self.history.content)
        self.history.append(3, 0, CONDITIONAL, start=tail)
        self.history.append(4, 0, CONDITIONAL, stored=False, start=tail)
        self.expect("lost")

    def test_a_condition_of_unknown_outcome_that_did_not_hold(self):
        self.history.append(3, 0, CONDITIONAL, UNKNOWN, start=0)
        self.expect("condition")

    def test_a_mismatch_that_was_none(self):
        tail = len(self.history.content)
        self.history.append(3, 0, CONDITIONAL, MISMATCH, stored=False, start=tail)
        self.expect("condition")

    def test_a_mismatch_that_tells_an_old_tail(self):
        self.history.append(3, 0, CONDITIONAL, MISMATCH, stored=False, start=0,
                            end=self.history.ops[-2].end)
        self.expect("stale")

    def test_a_misplaced_answer(self):
        self.history.append(1, 3, end=self.history.ops[-1].end)
        self.expect("misplaced")

    def test_foreign_bytes(self):
        self.history.content += b"0001:00000003:xy\n"
        self.expect("foreign")

    def test_an_append_that_nobody_sent(self):
        self.history.content += line(1, 7)
        self.expect("foreign")

    def test_a_gap_in_a_tail(self):
        middle = self.history.ops[2].end
        self.history.read(end=middle, client=60, kind=TAIL)
        self.history.read(start=self.history.ops[3].end, client=60, kind=TAIL)
        self.expect("tail")

    def test_a_repetition_in_a_tail(self):
        middle = self.history.ops[2].end
        self.history.read(end=middle, client=60, kind=TAIL)
        self.history.read(start=self.history.ops[1].end, client=60, kind=TAIL, number=1)
        self.expect("tail")

    def test_a_tail_of_other_bytes(self):
        self.history.read(kind=TAIL)
        self.history.ops[-1] = self.history.ops[-1]._replace(crc=1)
        self.expect("wrong bytes")


class Windows(unittest.TestCase):
    def test_seconds_in_a_fault_and_after_it_do_not_count(self):
        windows = [Window("kill", 10.5, 12.5, (1, 2))]
        self.assertEqual(clean_seconds(5.2, 20.2, windows), [6, 7, 8, 9, 16, 17, 18])

    def test_a_window_needs_its_reads_at_each_reachable_node(self):
        windows = [Window("kill", 10.0, 12.0, (1, 2))]
        times = {1: [10.1, 10.2, 11.9, 12.1], 2: [9.9, 10.5, 12.5], 3: []}
        self.assertEqual(check_reads(windows, times, 1), [])
        self.assertEqual(len(check_reads(windows, times, 2)), 1)
        self.assertIn("1 reads at node 2", check_reads(windows, times, 2)[0])
        self.assertEqual(len(check_reads(windows, {}, 1)), 2)

    def test_a_second_counts_if_every_group_had_a_success(self):
        self.assertEqual(available_share([1, 2, 3, 4], [{1, 2, 3, 4}, {1, 2, 3}]), 0.75)


if __name__ == "__main__":
    harness.main()
