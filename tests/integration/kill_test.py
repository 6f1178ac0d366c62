#!/usr/bin/env python3
"""kill -9 at random moments under load: 64 connections on 50 streams, restart with another core count.

Checks after each restart: no acknowledged append is missing, none is there twice under producer
headers, order is kept, no tail has gone back. URSULA_KILL_ROUNDS says how often (5 if not given).
"""
import http.client
import os
import random
import threading
import unittest

import harness

ROUNDS = int(os.environ.get("URSULA_KILL_ROUNDS", "5"))
STREAMS = 50
CONNECTIONS = 64  # One producer a stream; the 14 others append without one to the first streams.


class Writer(threading.Thread):
    """Appends numbered lines until the server dies. State outlives it: the next life goes on."""

    def __init__(self, port, state):
        super().__init__(daemon=True)
        self.port, self.state = port, state

    def run(self):
        state = self.state
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=harness.PATIENCE_S)
        try:
            while True:
                headers = {"Content-Type": "text/plain"}
                if state.producer:
                    headers.update({"Producer-Id": state.producer, "Producer-Epoch": "0",
                                    "Producer-Seq": str(state.next)})
                state.under_way = state.next
                connection.request("POST", state.target, state.line(state.next), headers)
                response = connection.getresponse()
                response.read()
                if response.status == 503:
                    continue  # Nothing was applied.
                if response.status not in (200, 204):
                    state.wrong = "append %d of %s: %d" % (state.next, state.name, response.status)
                    return
                state.acknowledged.append(state.next)
                state.tail = max(state.tail, response.headers["Stream-Next-Offset"])
                state.next += 1
        except (OSError, http.client.HTTPException):
            # Without a producer the one under way must not be sent again: it may be there.
            if not state.producer:
                state.next += 1
        finally:
            connection.close()


class State:
    def __init__(self, number):
        self.stream = number % STREAMS
        self.producer = "p%d" % number if number < STREAMS else None
        self.name = "w%d" % number
        self.target = "/v1/stream/s%d" % self.stream
        self.next, self.under_way, self.acknowledged, self.tail = 0, None, [], ""
        self.wrong = None

    def line(self, number):
        return "%s:%08d\n" % (self.name, number)


class Kill(unittest.TestCase):
    def check(self, server, states):
        tails = {}
        found = {state.name: [] for state in states}
        for stream in range(STREAMS):
            target = "/v1/stream/s%d" % stream
            for line in server.read_all(target).decode().splitlines():
                name, number = line.split(":")
                found[name].append(int(number))
            tails[stream] = server.ask("HEAD", target)[1]["Stream-Next-Offset"]
        for state in states:
            self.assertIsNone(state.wrong)
            there = found[state.name]
            self.assertEqual(there, sorted(set(there)), "order or duplicates of " + state.name)
            missing = set(state.acknowledged) - set(there)
            self.assertFalse(missing, "acknowledged and gone from %s: %s" % (state.name, missing))
            self.assertGreaterEqual(tails[state.stream], state.tail, "a tail went back")
            if state.producer:
                self.assertEqual(there, list(range(len(there))), "a gap in " + state.name)

    def test_nothing_acknowledged_is_lost(self):
        seed = int(os.environ.get("URSULA_SEED", random.randrange(1 << 32)))
        print("seed=%d rounds=%d" % (seed, ROUNDS), flush=True)
        chance = random.Random(seed)
        states = [State(number) for number in range(CONNECTIONS)]
        with harness.Server("--raft-group-count", "8") as server:
            for stream in range(STREAMS):
                self.assertEqual(server.ask("PUT", "/v1/stream/s%d" % stream,
                                            headers={"Content-Type": "text/plain"})[0], 201)
            for number in range(ROUNDS):
                before = sum(len(state.acknowledged) for state in states)
                writers = [Writer(server.port, state) for state in states]
                for writer in writers:
                    writer.start()
                more = before + chance.randrange(1, 3000)
                harness.wait_until(
                    lambda: sum(len(state.acknowledged) for state in states) >= more)
                server.kill()
                for writer in writers:
                    writer.join()
                server.start("--core-count", str(1 + number % 3))
                if number % 10 == 9 or number + 1 == ROUNDS or ROUNDS <= 5:
                    self.check(server, states)
            total = sum(len(state.acknowledged) for state in states)
            print("%d kills, %d acknowledged appends, 0 lost" % (ROUNDS, total), flush=True)


if __name__ == "__main__":
    harness.main()
