#!/usr/bin/env python3
"""Clients that keep a server busy with as little as they can: slow_clients.py PORT STREAM COUNT.

A quarter each: silent connections, heads a byte a second, bodies a byte a second, answers that
nobody reads. One that is cut off comes back. Ends at SIGTERM, or with its standard input, with a
line that says how many were held and how often they were cut off.
"""
import heapq
import resource
import selectors
import signal
import socket
import sys
import time

EVERY_S = 1.0
STARTS = (
    ("silent", b"", b""),
    ("head", b"GET /%s HTTP/1.1\r\nHost: h\r\nX: ", b"y"),
    ("body", b"POST /%s HTTP/1.1\r\nHost: h\r\nContent-Type: application/octet-stream\r\n"
             b"Content-Length: 1000000\r\n\r\n", b"y"),
    ("deaf", b"GET /%s?offset=-1 HTTP/1.1\r\nHost: h\r\n\r\n" * 20, b"\r\n"),
)


class Crowd:
    def __init__(self, port, stream, count):
        self.port = port
        self.stream = stream.encode()
        self.selector = selectors.DefaultSelector()
        self.due = []  # (when, number)
        self.cut = 0
        self.sockets = [None] * count
        for number in range(count):
            self.open(number)

    def open(self, number):
        client = socket.socket()
        if STARTS[number % 4][0] == "deaf":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", self.port))
        client.setblocking(False)
        _, start, more = STARTS[number % 4]
        client.send(start.replace(b"%s", self.stream))
        self.sockets[number] = client
        if STARTS[number % 4][0] != "deaf":
            self.selector.register(client, selectors.EVENT_READ, number)
        if more:
            heapq.heappush(self.due, (time.monotonic() + EVERY_S * (number + 1) / len(self.sockets),
                                      number))

    def again(self, number):
        self.cut += 1
        client = self.sockets[number]
        if STARTS[number % 4][0] != "deaf":
            self.selector.unregister(client)
        client.close()
        self.due = [entry for entry in self.due if entry[1] != number]
        heapq.heapify(self.due)
        self.open(number)

    def turn(self):
        for key, _ in self.selector.select(0.05):
            try:
                if not key.fileobj.recv(4096):
                    self.again(key.data)
            except BlockingIOError:
                pass
            except OSError:
                self.again(key.data)
        now = time.monotonic()
        while self.due and self.due[0][0] <= now:
            _, number = heapq.heappop(self.due)
            try:
                self.sockets[number].send(STARTS[number % 4][2])
            except BlockingIOError:
                pass
            except OSError:
                self.again(number)
                continue
            heapq.heappush(self.due, (now + EVERY_S, number))


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    running = [True]
    signal.signal(signal.SIGTERM, lambda *_: running.clear())
    crowd = Crowd(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    print("ready", flush=True)
    while running:
        crowd.turn()
    print("%d held, cut off %d times" % (len(crowd.sockets), crowd.cut), flush=True)


if __name__ == "__main__":
    main()
