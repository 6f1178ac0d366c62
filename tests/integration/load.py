"""Appends under way from many connections, remembered outside the server, and what of them is there
after it died.

Lines are numbered by their writer. Some writers have producer headers, so that they may send again
what was under way; the others go on with the next number, since the last one may be there.
"""
import collections
import http.client
import threading

import harness


class Writer:
    """What one connection has sent and what was acknowledged; it outlives the connection."""

    def __init__(self, number, stream, producer, padding):
        self.name = "w%d" % number
        self.stream = stream
        self.producer = "p%d" % number if producer else None
        self.padding = padding
        self.next, self.acknowledged, self.tail = 0, [], ""
        self.wrong = None

    def line(self, number):
        padding = "x" * ((number * 7919 + len(self.name)) % (self.padding + 1))
        return "%s:%08d:%s\n" % (self.name, number, padding)

    def headers(self):
        headers = {"Content-Type": "text/plain"}
        if self.producer:
            headers.update({"Producer-Id": self.producer, "Producer-Epoch": "0",
                            "Producer-Seq": str(self.next)})
        return headers

    def append_until_death(self, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=harness.PATIENCE_S)
        try:
            while self.wrong is None:
                connection.request("POST", self.stream, self.line(self.next), self.headers())
                response = connection.getresponse()
                response.read()
                if response.status == 503:
                    continue  # Nothing was applied.
                if response.status == 504:
                    break  # The log has failed; the server is as good as dead.
                if response.status not in (200, 204):
                    self.wrong = "append %d: %d" % (self.next, response.status)
                    break
                self.acknowledged.append(self.next)
                self.tail = max(self.tail, response.headers["Stream-Next-Offset"])
                self.next += 1
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        if not self.producer:
            self.next += 1


class Load:
    """`producers` of the connections have producer headers, one a stream; `padding` is the most
    that is added to a line."""

    def __init__(self, streams, connections, producers, padding=0, prefix="s"):
        self.streams = ["/v1/stream/%s%d" % (prefix, number) for number in range(streams)]
        self.writers = [Writer(number, self.streams[number % streams], number < producers, padding)
                        for number in range(connections)]
        self.threads = []

    def create_streams(self, server):
        for stream in self.streams:
            status, _, body = server.ask("PUT", stream, headers={"Content-Type": "text/plain"})
            if status != 201:
                raise AssertionError("PUT %s: %d %r" % (stream, status, body))

    def start(self, server):
        self.threads = [
            threading.Thread(target=writer.append_until_death, args=(server.port,), daemon=True)
            for writer in self.writers]
        for thread in self.threads:
            thread.start()

    def join(self):
        """REQUIRES: the server is dead."""
        for thread in self.threads:
            thread.join()

    def acknowledged(self):
        return sum(len(writer.acknowledged) for writer in self.writers)

    def audit(self, server):
        """What is wrong, as {kind: how many}; kinds are `lost`, `doubled or reordered`, `half`,
        `gap`, `tail went back` and `wrong answer`."""
        found = collections.Counter()
        there = {writer.name: [] for writer in self.writers}
        by_name = {writer.name: writer for writer in self.writers}
        tails = {}
        for stream in self.streams:
            for line in server.read_all(stream).decode().splitlines(keepends=True):
                name, number = (line.split(":") + [""])[:2]
                if name in by_name and number.isdigit() and (
                        line == by_name[name].line(int(number))):
                    there[name].append(int(number))
                else:
                    found["half"] += 1
            tails[stream] = server.ask("HEAD", stream)[1]["Stream-Next-Offset"]
        for writer in self.writers:
            numbers = there[writer.name]
            found["wrong answer"] += writer.wrong is not None
            found["doubled or reordered"] += numbers != sorted(set(numbers))
            found["lost"] += len(set(writer.acknowledged) - set(numbers))
            found["tail went back"] += tails[writer.stream] < writer.tail
            if writer.producer:
                found["gap"] += sorted(numbers) != list(range(len(numbers)))
        return {kind: count for kind, count in found.items() if count}

    def check(self, server):
        wrong = self.audit(server)
        if wrong:
            answers = [writer.wrong for writer in self.writers if writer.wrong]
            raise AssertionError("%s %s" % (wrong, answers))
