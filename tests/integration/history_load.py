#!/usr/bin/env python3
"""Clients that append, read and follow streams, and write down what they saw: a process of its own.

usage: history_load.py PLAN

The plan is JSON, as `plan` makes it. Each operation is a record (`RECORD`, the fields of
history_checker.Op) in a file of its stream below the plan's directory; answers that PROTOCOL.md does
not allow are lines of `wrong-PROCESS`. It ends when its standard input does: what is under way then
is waited for, or its outcome is unknown.
"""
import json
import os
import pathlib
import random
import select
import struct
import sys
import time
import zlib

import history_checker as history
import sessions
from history_checker import APPLIED, DUPLICATE, MISMATCH, NOT_APPLIED, PARTIAL, UNKNOWN

RECORD = struct.Struct("<BBHIBddQQI")
# How long a client waits; one that has given up doesn't know what becomes of its append.
PATIENCES_S = (0.7, 3, 12)
READ_PATIENCE_S = 0.5
TAIL_PATIENCE_S = 2
FLUSH_BYTES = 1 << 16
WRONG_MAX = 100


def plan(addresses, streams, directory, seed, rate, readers=60, tails=2, read_period_s=0.4):
    """`streams`: names; every fourth is for conditional appends alone, the others have a plain
    writer and two producers. `rate`: appends a second of all together. `readers`, `tails`: of each
    node."""
    writers = []
    for number in range(len(streams)):
        kinds = [history.PLAIN, history.PRODUCER, history.PRODUCER]
        if number % 4 == 3:
            kinds = [history.CONDITIONAL] * 3
        writers += [{"kind": kind, "stream": number} for kind in kinds]
    clients = [dict(writer, period_s=len(writers) / rate) for writer in writers]
    for node in addresses:
        clients += [{"kind": history.READ, "node": node, "period_s": read_period_s}] * readers
        clients += [{"kind": history.TAIL, "node": node, "stream": (node + 5 * number) % len(streams)}
                    for number in range(tails)]
    return {"addresses": {str(node): address for node, address in addresses.items()},
            "streams": streams, "directory": str(directory), "seed": seed,
            "clients": [dict(client, id=number) for number, client in enumerate(clients)]}


def offset_text(offset):
    return "%016d_%016d" % (0, offset)


def parse_offset(text):
    return int(text[17:33]) if text and len(text) == 33 else None


class Load:
    def __init__(self, plan, name):
        self.name = name
        self.directory = pathlib.Path(plan["directory"])
        self.streams = plan["streams"]
        self.chance = random.Random("%s %s" % (plan["seed"], name))
        self.addresses = {int(node): tuple(address) for node, address in plan["addresses"].items()}
        self.nodes = sorted(self.addresses)
        self.loop = sessions.Loop(self.addresses)
        self.ending = False
        self.wrong = 0
        self.tails = [0] * len(self.streams)  # What anyone here has been told.
        self.records = [bytearray() for _ in self.streams]
        makers = {history.READ: self.reader, history.TAIL: self.tail}
        for client in plan["clients"]:
            self.loop.add(makers.get(client["kind"], self.writer)(client))

    # ---- what is written down ----

    def record(self, stream, *fields):
        buffer = self.records[stream]
        buffer += RECORD.pack(*fields)
        if len(buffer) > FLUSH_BYTES:
            self.flush(stream)

    def flush(self, stream):
        with open(self.directory / ("ops-%d-%s" % (stream, self.name)), "ab") as file:
            file.write(self.records[stream])
        self.records[stream] = bytearray()

    def complain(self, what, reply):
        self.wrong += 1
        if self.wrong <= WRONG_MAX:
            with open(self.directory / ("wrong-" + self.name), "a") as file:
                file.write("%.3f %s: %r %r\n" % (time.monotonic(), what, reply.head,
                                                 reply.body[:200]))

    def seen(self, stream, tail):
        self.tails[stream] = max(self.tails[stream], tail)

    # ---- writers ----

    def writer(self, client):
        """Sends its appends one after the other; a producer's again until it is acknowledged."""
        kind, number, epoch, sequence = client["kind"], 0, 0, 0
        node = self.chance.choice(self.nodes)
        patience_s = self.chance.choice(PATIENCES_S)
        due = time.monotonic() + self.chance.random() * client["period_s"]
        while True:
            due = max(due + client["period_s"], time.monotonic())
            yield sessions.Pause(max(0, due - time.monotonic()))
            if self.ending:
                return
            expected = self.tails[client["stream"]] if kind == history.CONDITIONAL else 0
            text = self.append_request(client, number, (epoch, sequence), expected)
            invoked = time.monotonic()
            reply = yield sessions.Ask(node, text, patience_s)
            outcome, end = self.outcome(kind, reply, "append %d of client %d at node %d" % (
                number, client["id"], node))
            self.record(client["stream"], kind, outcome, client["id"], number, node, invoked,
                        time.monotonic(), expected, end, 0)
            if outcome in (APPLIED, DUPLICATE, MISMATCH):
                self.seen(client["stream"], end)
            if kind != history.PRODUCER or outcome in (APPLIED, DUPLICATE):
                number, sequence = number + 1, sequence + 1
            elif outcome == UNKNOWN and self.chance.random() < 0.05:
                # Nobody asks again what became of that one; the new epoch shuts it out.
                number, epoch, sequence = number + 1, epoch + 1, 0
            if outcome in (NOT_APPLIED, UNKNOWN):
                node = self.chance.choice(self.nodes)
                if outcome == NOT_APPLIED:
                    due = time.monotonic() + 0.05

    def append_request(self, client, number, producer, expected):
        headers = "Content-Type: text/plain\r\n"
        if client["kind"] == history.PRODUCER:
            headers += "Producer-Id: p%d\r\nProducer-Epoch: %d\r\nProducer-Seq: %d\r\n" % (
                client["id"], *producer)
        elif client["kind"] == history.CONDITIONAL:
            headers += 'If-Match: "%s"\r\n' % offset_text(expected)
        return sessions.request("POST", self.streams[client["stream"]], headers,
                                history.line(client["id"], number))

    def outcome(self, kind, reply, what):
        """(outcome, tail told) of an append."""
        if not isinstance(reply, sessions.Reply):
            return (NOT_APPLIED if reply == sessions.REFUSED else UNKNOWN), 0
        word = reply.header(b"Stream-Outcome")
        retry = reply.header(b"Retry-After") is not None
        tail = parse_offset(reply.header(b"Stream-Next-Offset"))
        if reply.status in (200, 204) and tail is not None:
            if word == b"applied":
                return APPLIED, tail
            if word == b"duplicate" and kind == history.PRODUCER:
                return DUPLICATE, tail
        elif reply.status in (503, 507) and word == b"not-proposed" and retry:
            return NOT_APPLIED, 0
        elif reply.status == 504 and word == b"unknown" and not retry:
            return UNKNOWN, 0
        elif reply.status == 412 and word == b"refused" and kind == history.CONDITIONAL and (
                tail is not None):
            return MISMATCH, tail
        self.complain(what, reply)
        return UNKNOWN, 0

    # ---- readers ----

    def reader(self, client):
        """Reads any stream at its node, most often what is new."""
        node, due = client["node"], time.monotonic() + self.chance.random() * client["period_s"]
        while True:
            due = max(due + client["period_s"] * (0.5 + self.chance.random()), time.monotonic())
            yield sessions.Pause(max(0, due - time.monotonic()))
            if self.ending:
                return
            stream = self.chance.randrange(len(self.streams))
            start = self.start_of_read(stream)
            kind = history.HEAD if self.chance.random() < 0.2 else history.READ
            target = self.streams[stream]
            if kind == history.READ:
                target += "?offset=" + offset_text(start)
            invoked = time.monotonic()
            reply = yield sessions.Ask(node, sessions.request(
                "HEAD" if kind == history.HEAD else "GET", target), READ_PATIENCE_S)
            outcome, end, crc = self.judge_read(kind, reply, "read at node %d" % node)
            self.record(stream, kind, outcome, client["id"], 0, node, invoked, time.monotonic(),
                        start if kind == history.READ else 0, end, crc)
            if outcome == APPLIED:
                self.seen(stream, end)

    def start_of_read(self, stream):
        """A place between appends; those that were told are."""
        return 0 if self.chance.random() < 0.02 else self.tails[stream]

    def judge_read(self, kind, reply, what):
        """(outcome, where it ends, CRC-32)."""
        if not isinstance(reply, sessions.Reply):
            return UNKNOWN, 0, 0
        end = parse_offset(reply.header(b"Stream-Next-Offset"))
        if reply.status == 200 and end is not None:
            if kind == history.HEAD:
                return APPLIED, end, 0
            whole = reply.header(b"Stream-Up-To-Date") == b"true"
            return (APPLIED if whole else PARTIAL), end, zlib.crc32(reply.body)
        if reply.status == 503 and reply.header(b"Retry-After") is not None:
            return NOT_APPLIED, 0, 0
        self.complain(what, reply)
        return UNKNOWN, 0, 0

    # ---- tails ----

    def tail(self, client):
        """Follows one stream, from its start or where it is, by SSE; resumes where it was cut."""
        node, stream = client["node"], client["stream"]
        at, connection = 0, 0
        while not self.ending:
            connection += 1
            reply = yield sessions.Ask(node, sessions.request("GET", "%s?live=sse&offset=%s" % (
                self.streams[stream], offset_text(at))), TAIL_PATIENCE_S, stream=True)
            if isinstance(reply, sessions.Reply) and reply.status == 200:
                events = _Events(at)
                while not self.ending:
                    data = yield sessions.More(TAIL_PATIENCE_S)
                    if data in (sessions.LOST, sessions.LATE):
                        break
                    for start, end, text in events.take(data):
                        self.record(stream, history.TAIL, APPLIED, client["id"], connection, node,
                                    time.monotonic(), time.monotonic(), start, end,
                                    zlib.crc32(text))
                        at = end
            elif isinstance(reply, sessions.Reply) and not (
                    reply.status == 503 and reply.header(b"Retry-After") is not None):
                self.complain("tail at node %d" % node, reply)
            yield sessions.Pause(0.1)

    # ---- the whole ----

    def run(self):
        end_by = None

        def ended():
            nonlocal end_by
            if not self.ending and select.select([sys.stdin], [], [], 0)[0]:
                self.ending = True
                end_by = time.monotonic() + max(PATIENCES_S) + 1
            return end_by is not None and time.monotonic() > end_by
        self.loop.run(ended)
        for stream in range(len(self.streams)):
            self.flush(stream)


class _Events:
    """SSE over chunks, as `data` and `control` events make it: (start, end, bytes) of each pair."""

    def __init__(self, at):
        self.at = at
        self.raw = self.text = b""
        self.data = b""

    def take(self, data):
        self.raw += data
        self._unchunk()
        found = []
        while b"\n\n" in self.text:
            event, self.text = self.text.split(b"\n\n", 1)
            lines = event.split(b"\n")
            if lines[0] == b"event: data":
                self.data += b"\n".join(part[5:] for part in lines if part.startswith(b"data:"))
            elif lines[0] == b"event: control":
                control = json.loads(b"".join(part[5:] for part in lines
                                              if part.startswith(b"data:")))
                end = parse_offset(control["streamNextOffset"])
                if self.data or end != self.at:
                    found.append((self.at, end, self.data))
                self.at, self.data = end, b""
        return found

    def _unchunk(self):
        while True:
            at = self.raw.find(b"\r\n")
            if at < 0:
                return
            size = int(self.raw[:at], 16)
            if len(self.raw) < at + 4 + size:
                return
            self.text += self.raw[at + 2:at + 2 + size]
            self.raw = self.raw[at + 4 + size:]


def main():
    path = pathlib.Path(sys.argv[1])
    Load(json.loads(path.read_text()), path.stem).run()


if __name__ == "__main__":
    main()
