"""Appends to a cluster while its nodes come and go, as PROTOCOL.md tells clients to retry.

Each writer has a stream and a producer of its own: it sends a line again under the same sequence
until it is acknowledged, at whichever node answers. What a stream has to hold in the end is known.
"""
import http.client
import threading
import time

import harness


class Writer(threading.Thread):
    def __init__(self, number, cluster):
        super().__init__(daemon=True)
        self.stream = "/v1/stream/t%d" % number
        self.producer = "p%d" % number
        self.cluster = cluster
        self.at = number  # Which node it asks; another one when that doesn't answer.
        self.acknowledged = 0
        self.statuses = {}
        self.wrong = None
        self.ending = threading.Event()

    def line(self, number):
        return "%s:%06d\n" % (self.producer, number)

    def run(self):
        connection = None
        while not self.ending.is_set() and self.wrong is None:
            try:
                if connection is None:
                    connection = self.connect()
                self.append(connection)
            except (OSError, http.client.HTTPException):
                connection = None
                self.at += 1
                time.sleep(0.01)  # No faster than a client that was refused.

    def connect(self):
        nodes = sorted(self.cluster.nodes)
        server = self.cluster[nodes[self.at % len(nodes)]]
        return http.client.HTTPConnection("127.0.0.1", server.port, timeout=harness.PATIENCE_S)

    def append(self, connection):
        connection.request("POST", self.stream, self.line(self.acknowledged), {
            "Content-Type": "text/plain", "Producer-Id": self.producer, "Producer-Epoch": "0",
            "Producer-Seq": str(self.acknowledged)})
        response = connection.getresponse()
        response.read()
        self.statuses[response.status] = self.statuses.get(response.status, 0) + 1
        outcome = response.headers["Stream-Outcome"]
        retry_after = response.headers["Retry-After"] is not None
        if response.status in (200, 204) and outcome in ("applied", "duplicate"):
            self.acknowledged += 1
        elif (response.status, outcome, retry_after) == (503, "not-proposed", True):
            raise http.client.HTTPException("not now: elsewhere")
        elif (response.status, outcome, retry_after) != (504, "unknown", False):
            self.wrong = "append %d: %d %r" % (self.acknowledged, response.status,
                                               dict(response.headers))


class Traffic:
    """`count` writers; streams are made at once."""

    def __init__(self, cluster, count=6):
        self.cluster = cluster
        self.writers = [Writer(number, cluster) for number in range(count)]
        for writer in self.writers:
            status = next(iter(cluster.nodes.values())).ask(
                "PUT", writer.stream, headers={"Content-Type": "text/plain"})[0]
            if status != 201:
                raise AssertionError("PUT %s: %d" % (writer.stream, status))
        for writer in self.writers:
            writer.start()

    def acknowledged(self):
        return sum(writer.acknowledged for writer in self.writers)

    def await_more(self, count):
        """Until every writer has had so many more appends acknowledged."""
        wanted = {writer: writer.acknowledged + count for writer in self.writers}
        harness.wait_until(lambda: all(writer.acknowledged >= least or writer.wrong
                                       for writer, least in wanted.items()))
        self.check_answers()

    def check_answers(self):
        wrong = [writer.wrong for writer in self.writers if writer.wrong]
        if wrong:
            raise AssertionError("; ".join(wrong))

    def end(self):
        for writer in self.writers:
            writer.ending.set()
        for writer in self.writers:
            writer.join(harness.PATIENCE_S)
        self.check_answers()

    def check(self, *nodes):
        """At each of these nodes (at all, if none is named) every stream has every acknowledged
        line once and in order, and at most the one line more that was under way. Traffic may go
        on meanwhile."""
        for node in nodes or self.cluster.nodes:
            for writer in self.writers:
                before = writer.acknowledged
                lines = self.cluster[node].read_all(writer.stream).decode().splitlines(True)
                due = [writer.line(number) for number in range(len(lines))]
                if lines != due or not before <= len(lines) <= writer.acknowledged + 1:
                    raise AssertionError("%s at node %d has %d lines, %d were acknowledged: %r" % (
                        writer.stream, node, len(lines), before, lines[-3:]))
