#!/usr/bin/env python3
"""kill -9 at random moments under load: 64 connections on 50 streams, restart with another core count.

Checks after each restart: no acknowledged append is missing, none is there twice under producer
headers, order is kept, no tail has gone back. URSULA_KILL_ROUNDS says how often (5 if not given).
"""
import os
import random
import unittest

import harness
from load import Load

ROUNDS = int(os.environ.get("URSULA_KILL_ROUNDS", "5"))
STREAMS = 50
CONNECTIONS = 64  # One producer a stream; the 14 others append without one to the first streams.


class Kill(unittest.TestCase):
    def test_nothing_acknowledged_is_lost(self):
        seed = int(os.environ.get("URSULA_SEED", random.randrange(1 << 32)))
        print("seed=%d rounds=%d" % (seed, ROUNDS), flush=True)
        chance = random.Random(seed)
        load = Load(STREAMS, CONNECTIONS, producers=STREAMS)
        with harness.Server("--raft-group-count", "8") as server:
            load.create_streams(server)
            for number in range(ROUNDS):
                load.start(server)
                more = load.acknowledged() + chance.randrange(1, 3000)
                harness.wait_until(lambda: load.acknowledged() >= more)
                server.kill()
                load.join()
                server.start("--core-count", str(1 + number % 3))
                if number % 10 == 9 or number + 1 == ROUNDS or ROUNDS <= 5:
                    load.check(server)
            print("%d kills, %d acknowledged appends, 0 lost" % (ROUNDS, load.acknowledged()),
                  flush=True)


if __name__ == "__main__":
    harness.main()
