"""Judges what clients saw of a stream while its servers failed, against what it holds in the end.

Nothing here knows processes, sockets or clocks: histories come in, complaints go out
(history_checker_test.py plants faults). Each append is a line that names its client and a number of
that client's, so that every byte of a stream maps back to the append it came by.

An append's place in the stream is its place in the one order that linearizability asks for; reads
stand where the tail that they saw is. So a history is linearizable if nothing that was invoked after
an answer stands before what that answer told (`_check_order`), and the bytes are right.
"""
import bisect
import collections
import zlib
from typing import NamedTuple

# Kinds.
PLAIN, PRODUCER, CONDITIONAL, READ, HEAD, TAIL = range(1, 7)
APPENDS = (PLAIN, PRODUCER, CONDITIONAL)
# Outcomes. Of a read: APPLIED reached the tail, PARTIAL is a page before it.
APPLIED, DUPLICATE, NOT_APPLIED, UNKNOWN, MISMATCH, PARTIAL = range(1, 7)

COMPLAINTS_MAX = 20  # Of each kind, of one stream.


class Op(NamedTuple):
    """One request and its answer; a retry is one of its own, with the number of the first.

    Times are one clock's, of all clients. `start`, `end` and `crc` (CRC-32 of the bytes) are what
    was read; of an append, and of what a HEAD or a 412 tells, `end` is the offset in the answer,
    and `start` the offset that a conditional append expects. Of a tail `number` counts its
    connections."""
    kind: int
    outcome: int
    client: int
    number: int
    node: int
    invoked: float
    answered: float
    start: int = 0
    end: int = 0
    crc: int = 0


def line(client, number):
    """What this append stores."""
    return b"%04x:%08d:%s\n" % (client, number, b"x" * (20 + (number * 7919 + client) % 200))


class Complaints:
    def __init__(self, stream):
        self.stream = stream
        self.counts = collections.Counter()
        self.texts = []

    def say(self, kind, text, *args):
        self.counts[kind] += 1
        if self.counts[kind] <= COMPLAINTS_MAX:
            self.texts.append("%s: %s: %s" % (self.stream, kind, text % args))


def _places(content, complaints):
    """Where each append stands, {(client, number): (start, end)}, and where appends end."""
    places, ends, at = {}, [0], 0
    for text in content.splitlines(keepends=True):
        start, at = at, at + len(text)
        ends.append(at)
        try:
            client, number = int(text[0:4], 16), int(text[5:13])
        except ValueError:
            client = number = -1
        if client < 0 or text != line(client, number):
            complaints.say("foreign", "%r at %d", text[:60], start)
        elif (client, number) in places:
            complaints.say("doubled", "append %d of client %d at %d and at %d", number, client,
                           places[client, number][0], start)
        else:
            places[client, number] = (start, at)
    return places, ends


def _check_append(key, tries, places, complaints):
    """All tries of one append against the place it has, if it has one."""
    client, number = key
    place = places.get(key)
    answers = [op.outcome for op in tries]
    if place is None:
        for op in tries:
            if op.outcome in (APPLIED, DUPLICATE):
                complaints.say("lost", "append %d of client %d, acknowledged by node %d at %.3f"
                               " (end %d)", number, client, op.node, op.answered, op.end)
        return
    if not set(answers) & {APPLIED, DUPLICATE, UNKNOWN}:
        complaints.say("applied after all", "append %d of client %d: refused, and at %d", number,
                       client, place[0])
    if answers.count(APPLIED) > 1:
        complaints.say("applied twice", "append %d of client %d, by its answers", number, client)
    for op in tries:
        if op.outcome == APPLIED and op.end != place[1]:
            complaints.say("misplaced", "append %d of client %d ends at %d, its answer says %d",
                           number, client, place[1], op.end)
        if op.outcome == DUPLICATE and op.end < place[1]:
            complaints.say("misplaced", "append %d of client %d ends at %d, a duplicate's answer"
                           " says %d", number, client, place[1], op.end)
        if op.kind == CONDITIONAL and op.start != place[0]:
            complaints.say("condition", "append %d of client %d stands at %d, and expected %d",
                           number, client, place[0], op.start)


def _check_producers(tries, places, complaints):
    """A producer's appends stand in the order of their numbers."""
    last = {}
    for key in sorted(places, key=places.get):
        if key in tries and tries[key][0].kind == PRODUCER:
            if last.get(key[0], -1) > key[1]:
                complaints.say("reordered", "appends %d and %d of producer %d", last[key[0]],
                               key[1], key[0])
            last[key[0]] = key[1]


def _check_bytes(op, content, ends, complaints):
    """What this answer shows is there in the end."""
    at = bisect.bisect_left(ends, op.end)
    if at == len(ends) or ends[at] != op.end:
        complaints.say("no such tail", "%d, which node %d told client %d at %.3f", op.end, op.node,
                       op.client, op.answered)
    elif op.kind in (READ, TAIL) and (op.start > op.end or
                                      zlib.crc32(content[op.start:op.end]) != op.crc):
        complaints.say("wrong bytes", "%d to %d, which node %d told client %d at %.3f", op.start,
                       op.end, op.node, op.client, op.answered)
    if op.outcome == MISMATCH and op.start == op.end:
        complaints.say("condition", "412 for the tail that there was, %d, at node %d at %.3f",
                       op.end, op.node, op.answered)


def _check_order(ops, tries, places, complaints):
    """What is invoked after an answer stands behind what that answer told."""
    events = []  # At the same time what is invoked comes first: it is concurrent.
    for number, op in enumerate(ops):
        if op.kind != TAIL:
            events.append((op.invoked, 0, number))
            if op.outcome in (APPLIED, DUPLICATE, MISMATCH):
                events.append((op.answered, 1, number))
    told, teller = 0, None
    floors = {}
    for _, answer, number in sorted(events):
        op = ops[number]
        if not answer:
            floors[number] = told, teller
            key = (op.client, op.number)
            if op.kind in APPENDS and key in places and tries[key][0] is op:
                if places[key][0] < told:
                    complaints.say(
                        "order", "append %d of client %d, invoked at %.3f, stands at %d; by %.3f"
                        " node %d had told %d", op.number, op.client, op.invoked, places[key][0],
                        teller.answered, teller.node, told)
            continue
        floor, earlier = floors.pop(number)
        if op.end < floor:
            complaints.say(
                "stale", "node %d told client %d the tail %d (%.3f to %.3f); by %.3f node %d had"
                " told %d", op.node, op.client, op.end, op.invoked, op.answered, earlier.answered,
                earlier.node, floor)
        if op.end > told:
            told, teller = op.end, op


def _check_tails(ops, complaints):
    """Each tail goes on where it was, over its reconnections too."""
    ends = {}
    for op in sorted((op for op in ops if op.kind == TAIL), key=lambda op: op.answered):
        if op.client in ends and op.start != ends[op.client]:
            complaints.say("tail", "tail %d, connection %d, at node %d at %.3f: from %d to %d", op.client,
                           op.number, op.node, op.answered, ends[op.client], op.start)
        ends[op.client] = op.end


def check_stream(stream, ops, content):
    """Complaints about one stream: `content` is what it holds in the end."""
    complaints = Complaints(stream)
    places, ends = _places(content, complaints)
    tries = collections.defaultdict(list)
    for op in sorted(ops, key=lambda op: op.invoked):
        if op.kind in APPENDS:
            tries[op.client, op.number].append(op)
    for key in places.keys() - tries.keys():
        complaints.say("foreign", "append %d of client %d was never sent", key[1], key[0])
    for key, all_tries in tries.items():
        _check_append(key, all_tries, places, complaints)
    _check_producers(tries, places, complaints)
    for op in ops:
        if op.outcome in (APPLIED, DUPLICATE, MISMATCH) or (
                op.kind in (READ, TAIL) and op.outcome == PARTIAL):
            _check_bytes(op, content, ends, complaints)
    _check_order(ops, tries, places, complaints)
    _check_tails(ops, complaints)
    return complaints


class Window(NamedTuple):
    """A fault from its begin until what it did was undone. `reachable`: the nodes that a client
    must have been able to ask all the while."""
    fault: str
    begin: float
    end: float
    reachable: tuple


AFTERMATH_S = 3


def clean_seconds(begin, end, windows):
    """The whole seconds of [begin, end) that no fault and no aftermath touches."""
    return [second for second in range(int(begin) + 1, int(end) - 1)
            if not any(window.begin < second + 1 and second < window.end + AFTERMATH_S
                       for window in windows)]


def check_reads(windows, read_times, reads_min):
    """Complaints about windows in which too few reads were asked for: they would prove nothing.
    `read_times`: of each node, in order, when its reads were invoked."""
    found = []
    for window in windows:
        for node in window.reachable:
            times = read_times.get(node, [])
            count = bisect.bisect(times, window.end) - bisect.bisect(times, window.begin)
            if count < reads_min:
                found.append("%s from %.3f to %.3f: %d reads at node %d, %d are needed" % (
                    window.fault, window.begin, window.end, count, node, reads_min))
    return found


def available_share(seconds, successes):
    """The share of `seconds` in which every group had a success; `successes`: a set of seconds of
    each group."""
    if not seconds:
        return 1.0
    good = sum(all(second in group for group in successes) for second in seconds)
    return good / len(seconds)
