#!/usr/bin/env python3
"""How long the groups of a node that is lost, or asked to stop, take no appends.

usage: failover.py URSULAD [--how kill,pause,cut,stop] [--times N] [--nodes N] [--groups N]

Each group has a producer for each node: it appends there, a request at a time, and asks another node
where its own is gone, doesn't answer within a quarter of a second, or says that nothing was proposed. Counted are
the groups that the node led: of one that is lost from then to the first success; of one that is asked
to stop the longest time that any of a group's appends took, tries included. The last line has the
figures.
"""
import argparse
import os
import signal
import sys
import threading
import time

import harness
import nemesis
import network
import nodes
import sessions

PATIENCE_S = 0.25
PERIOD_S = 0.09
ECHO_S = 0.02  # So long may answers of a node that is gone be under way yet.
SETTLE_S = 3


class Producers:
    """`done`: of each group (when it was first asked for, when it was answered) of its appends."""

    def __init__(self, cluster, streams):
        self.ending = False
        self.done = [[] for _ in streams]
        self.failures = []  # What a client that retries as documented can't put right by itself.
        self.retried = 0
        self.nodes = sorted(cluster.nodes)
        self.loop = sessions.Loop({node: (server.host, server.port)
                                   for node, server in cluster.nodes.items()})
        for group, stream in enumerate(streams):
            for node in self.nodes:
                self.loop.add(self.producer(group, stream, node))
        self.thread = threading.Thread(target=self.loop.run, daemon=True)
        self.thread.start()

    def producer(self, group, stream, home):
        share = (group * len(self.nodes) + home) / (len(self.done) * len(self.nodes))
        yield sessions.Pause(PERIOD_S * share)
        sequence = 0
        while not self.ending:
            begin = time.monotonic()
            node = home
            body = b"%d.%d" % (home, sequence)
            request = sessions.request("POST", stream, (
                "Content-Type: text/plain\r\nProducer-Id: p%d\r\nProducer-Epoch: 0\r\n"
                "Producer-Seq: %d\r\n") % (home, sequence), body)
            while not self.good((yield sessions.Ask(node, request, PATIENCE_S)), group, node):
                node = self.nodes[self.nodes.index(node) - 1]
                self.retried += 1
                yield sessions.Pause(0.01)
            now = time.monotonic()
            self.done[group].append((begin, now))
            sequence += 1
            yield sessions.Pause(max(0, begin + PERIOD_S - now))

    def good(self, reply, group, node):
        if isinstance(reply, sessions.Reply):
            if reply.status in (200, 204):
                return True
            if reply.status == 503 and reply.header(b"Stream-Outcome") == b"not-proposed":
                return False
            reply = "%d %r" % (reply.status, reply.body[:100])
        if reply != sessions.REFUSED:
            self.failures.append((time.monotonic(), group, node, reply))
        return False

    def served_since(self, group, moment):
        """When its first append after this moment was answered; None if none was yet."""
        for begin, end in reversed(self.done[group]):
            if end < moment + ECHO_S:
                break
            first = end
        else:
            return None
        return first if self.done[group][-1][1] >= moment + ECHO_S else None

    def longest(self, group, since):
        return max((end - begin for begin, end in self.done[group][-400:] if end >= since),
                   default=0.0)

    def end(self):
        self.ending = True
        self.thread.join(harness.PATIENCE_S)


class Trial:
    def __init__(self, cluster, producers, groups):
        self.cluster, self.producers, self.groups = cluster, producers, groups

    def led(self):
        """The node that leads most groups, and these."""
        self.cluster.await_leaders()
        leaders = {group["group"]: group["leader"] for group in self.cluster.view(1)["groups"]}
        node = max(sorted(set(leaders.values())), key=list(leaders.values()).count)
        return node, [group for group, leader in leaders.items() if leader == node]

    def lose(self, begin, undo):
        """Of each group of the node how long it was gone. `begin(node)`, `undo(node)`: the fault."""
        node, groups = self.led()
        begin(node)
        moment = time.monotonic()
        harness.wait_until(lambda: all(self.producers.served_since(group, moment) is not None
                                       for group in groups))
        gone = [self.producers.served_since(group, moment) - moment for group in groups]
        undo(node)
        time.sleep(SETTLE_S)
        return gone

    def kill(self):
        return self.lose(lambda node: self.cluster[node].process.kill(), self.restart)

    def restart(self, node):
        self.cluster[node].process.wait(harness.PATIENCE_S)
        self.cluster[node].process.stdout.close()
        self.cluster[node].start()

    def pause(self):
        def signals(number):
            return lambda node: self.cluster[node].process.send_signal(number)
        return self.lose(signals(signal.SIGSTOP), signals(signal.SIGCONT))

    def cut(self):
        def each(what):
            return lambda node: [what(*pair) for other in self.cluster.nodes if other != node
                                 for pair in ((node, other), (other, node))]
        return self.lose(each(self.cluster.network.cut), each(self.cluster.network.heal))

    def stop(self):
        node, groups = self.led()
        moment = time.monotonic()
        if self.cluster[node].stop() != 0:
            raise AssertionError("node %d did not end as asked" % node)
        time.sleep(1)
        paused = [self.producers.longest(group, moment) for group in groups]
        self.cluster[node].start()
        time.sleep(1)
        return paused


def at(share, values):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ursulad")
    parser.add_argument("--how", default="kill,pause,cut,stop")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--groups", type=int, default=64)
    options = parser.parse_args()
    harness.ursulad_path = os.path.abspath(options.ursulad)
    missing = network.unavailable()
    if missing:
        sys.exit("needs " + missing)
    figures, good = [], True
    for how in options.how.split(","):
        text, verdict = measure(options, how)
        figures.append(text)
        good = good and verdict
    print("; ".join(figures))
    sys.exit(0 if good else 1)


def measure(options, how):
    with network.Network(options.nodes) as net, nodes.Cluster(
            options.nodes, groups=options.groups, fixed_ports=True, network=net,
            small=False) as cluster:
        cluster.await_leaders()
        streams = nemesis.streams_over(options.groups)
        for stream in streams:
            if cluster[1].ask("PUT", stream, headers={"Content-Type": "text/plain"})[0] != 201:
                raise AssertionError("PUT " + stream)
        producers = Producers(cluster, streams)
        time.sleep(SETTLE_S)
        trial, seconds = Trial(cluster, producers, options.groups), []
        before = len(producers.failures)
        for number in range(options.times):
            found = getattr(trial, how)()
            print("%s %d: %d groups, median %.3f, longest %.3f s; %d failures so far" % (
                how, number, len(found), at(0.5, found), max(found),
                len(producers.failures) - before), flush=True)
            seconds += found
        producers.end()
        return judge(how, seconds, producers)


def judge(how, seconds, producers):
    median, p99, longest = at(0.5, seconds), at(0.99, seconds), max(seconds)
    text = "%s: median %.3f s, p99 %.3f s, max %.3f s of %d" % (how, median, p99, longest,
                                                               len(seconds))
    if how == "stop":
        for failure in producers.failures[:20]:
            print("failed: %s" % (failure,))
        text += ", %d requests failed, %d tries more" % (len(producers.failures), producers.retried)
        return text, not producers.failures and p99 < 0.1
    if how == "kill":
        return text, median <= 0.6 and p99 <= 1.5 and longest <= 3
    return text, median <= 2.5


if __name__ == "__main__":
    main()
