#!/usr/bin/env python3
"""The clauses of HTTP/1.1, and requests that hide others, said byte for byte to a real ursulad.

http_clauses/*.txt hold a case each: a line of RFC, section and title; the bytes, on lines that begin
with two blanks and are joined without anything between; what must come of them:

    = STATUS... HOW [appended TEXT]
    + a regular expression that the answers must match
    - one that they must not

`100?` may come or not. HOW it goes on: `open`, the connection serves the next request; `closed`, it
doesn't; `ended`, the client sends its FIN instead of a next request; `waited`, it sends nothing more.
In bytes and TEXT, \\r \\n \\t \\xNN are escapes, {text*9} is text nine times, {pause} lets the server
see what came before first, and MACROS are requests.

Each case is sent in one piece and byte by byte. Whatever it is: what was not meant to be appended
was not, no hidden request was served, the next request was served once or not at all.
"""
import json
import pathlib
import re
import unittest

import harness

HEAD = " HTTP/1.1\r\nHost: h\r\n"
APPEND = HEAD + "Content-Type: text/plain\r\n"
EVIL = "POST /demo/secret" + APPEND + "Content-Length: 4\r\n\r\nEVIL"
NEXT = "POST /demo/next" + APPEND + "Content-Length: 4\r\n\r\nNEXT"
MACROS = {
    "get": "GET /demo/log" + HEAD,
    "post": "POST /demo/log" + APPEND,
    "chunked": "POST /demo/log" + APPEND + "Transfer-Encoding: chunked\r\n\r\n",
    "evil": EVIL,
    "evil.size": str(len(EVIL)),
    "evil.hex": "%x" % len(EVIL),
}
STREAMS = ("kept", "log", "next", "secret")
BYTEWISE_MAX = 4096
PIECE = 999  # For what is too long to be sent byte by byte.


def expand(text):
    text = re.sub(r"\{([^{}*]+)\*(\d+)\}", lambda m: m[1] * int(m[2]), text)
    text = re.sub(r"\\(x[0-9a-f]{2}|[rnt])",
                  lambda m: {"r": "\r", "n": "\n", "t": "\t"}.get(m[1]) or chr(int(m[1][1:], 16)),
                  text)
    return re.sub(r"\{([a-z.]+)\}", lambda m: MACROS.get(m[1], m[0]), text)


class Case:
    def __init__(self, title):
        self.title = title
        self.raw = ""
        self.statuses, self.how, self.appended = [], "", ""
        self.present, self.absent = [], []

    def expect(self, line):
        match = re.fullmatch(r"((?:\d+\?? )+)(open|closed|ended|waited)(?: appended (.+))?", line)
        if match is None:
            raise ValueError("%s: %s" % (self.title, line))
        self.statuses = match[1].split()
        self.how = match[2]
        self.appended = expand(match[3] or "")

    def pieces(self):
        return [expand(piece).encode("latin-1") for piece in self.raw.split("{pause}")]

    def wanted(self):
        """A regular expression over "200 404 "."""
        statuses = self.statuses + (["204"] if self.how == "open" else [])
        return "".join("(%s )?" % s[:-1] if s.endswith("?") else s + " " for s in statuses)


def load(path):
    cases = []
    for line in path.read_text().splitlines():
        if line.startswith("  "):
            cases[-1].raw += line[2:]
        elif line.startswith("= "):
            cases[-1].expect(line[2:])
        elif line.startswith("+ "):
            cases[-1].present.append(line[2:])
        elif line.startswith("- "):
            cases[-1].absent.append(line[2:])
        elif line and not line.startswith("#"):
            cases.append(Case(line))
    return cases


def split_responses(data, to_head):
    """[(status, head, body)] of bytes that are whole responses, one after the other."""
    responses = []
    while data:
        head, found, data = data.partition(b"\r\n\r\n")
        if not found or not head.startswith(b"HTTP/1.1 "):
            raise AssertionError("no whole response: %r" % head[:100])
        status = int(head[9:12])
        length = re.search(rb"\r\nContent-Length: (\d+)", head)
        bodiless = status in (100, 204, 304) or (to_head and not responses)
        size = int(length[1]) if length and not bodiless else 0
        if len(data) < size:
            raise AssertionError("half a response: %r" % head)
        responses.append((status, head.decode("latin-1"), data[:size]))
        data = data[size:]
    return responses


class Clauses(unittest.TestCase):
    flags = ()  # The time-outs as they are: a test that is held up between two writes isn't 408.

    @classmethod
    def setUpClass(cls):
        cls.server = harness.Server("--memory", "--body-bytes-max", "1MiB", *cls.flags)
        cls.connection = harness.http.client.HTTPConnection("127.0.0.1", cls.server.port,
                                                            timeout=harness.PATIENCE_S)
        cls.ask("PUT", "/demo")
        cls.offsets = {}
        for name in STREAMS:
            body = "ABCDEF" if name == "kept" else None
            head, _ = cls.ask("PUT", "/demo/" + name, body)
            cls.offsets[name] = head["Stream-Next-Offset"]

    @classmethod
    def tearDownClass(cls):
        with cls.server:
            cls.connection.close()
            assert cls.server.stop() == 0

    @classmethod
    def ask(cls, method, target, body=None):
        cls.connection.request(method, target, body=body, headers={"Content-Type": "text/plain"})
        response = cls.connection.getresponse()
        return response.headers, response.read()

    def appended(self):
        """What each stream got since the last time."""
        news = {}
        for name in STREAMS:
            head, body = self.ask("GET", "/demo/%s?offset=%s" % (name, self.offsets[name]))
            self.offsets[name] = head["Stream-Next-Offset"]
            news[name] = body.decode("latin-1")
        return news

    def send(self, client, case, bytewise):
        for i, piece in enumerate(case.pieces()):
            if i > 0 and case.statuses[0] == "100":
                client.read_to("\r\n\r\n")  # Its answer; counted again below.
                client.buffer = b""
            elif i > 0:
                self.ask("GET", "/demo/kept")
            self.send_piece(client, piece, bytewise)
        if case.how in ("open", "closed"):
            self.send_piece(client, NEXT.encode(), bytewise)
        if case.how != "waited":
            client.end()

    def send_piece(self, client, data, bytewise):
        step = len(data) if not bytewise else 1 if len(data) <= BYTEWISE_MAX else PIECE
        for at in range(0, len(data), step or 1):
            client.write(data[at:at + step])

    def check(self, case):
        for bytewise in (False, True):
            with self.subTest(case.title, bytewise=bytewise), self.server.raw() as client:
                self.send(client, case, bytewise)
                data = client.read_all()
                got = self.appended()
                self.assertIsNotNone(data, "reset before the answer was read")
                self.check_answers(case, data)
                self.assertEqual(got["secret"], "", "a hidden request was served")
                self.assertEqual(got["log"], case.appended)
                self.assertEqual(got["next"], "NEXT" if case.how == "open" else "")
                self.assertEqual(got["kept"], "")
                _, listing = self.ask("GET", "/demo/streams")
                self.assertEqual(sorted(s["path"] for s in json.loads(listing)["streams"]),
                                 list(STREAMS))

    def check_answers(self, case, data):
        responses = split_responses(data, to_head=case.raw.startswith("HEAD "))
        statuses = "".join("%d " % status for status, _, _ in responses)
        if "{pause}" in case.raw and case.statuses[0] == "100":
            statuses = "100 " + statuses
        self.assertRegex(statuses, "^" + case.wanted() + "$", data)
        if case.how == "open":
            responses.pop()
        text = "".join(head + "\r\n\r\n" + body.decode("latin-1") for _, head, body in responses)
        for pattern in case.present:
            self.assertRegex(text, pattern)
        for pattern in case.absent:
            self.assertNotRegex(text, pattern)
        for status, head, body in responses:
            if status == 100:
                continue
            self.assertIn("\r\nDate: ", head)
            self.assertIn("\r\nX-Content-Type-Options: nosniff\r\n", head)
            if status >= 400 and body:
                error = json.loads(body)["error"]
                self.assertRegex(error["code"], "^[A-Z_]+$")
                self.assertGreater(len(error["message"]), 10)
        if case.how != "open":
            self.assertIn("\r\nConnection: close", responses[-1][1])


class Waiting(Clauses):
    """What comes of a request that stops half-way is waited for."""
    flags = ("--request-timeout-ms", "1000")


def add_cases(name, base, file, least):
    cases = [case for case in load(pathlib.Path(__file__).parent / "http_clauses" / file)
             if (case.how == "waited") == (base is Waiting)]
    assert len(cases) >= least and all(case.statuses for case in cases)
    members = {}
    for i, case in enumerate(cases):
        word = re.sub(r"[^a-z0-9]+", "_", case.title.lower()).strip("_")
        members["test_%03d_%s" % (i + 1, word)] = lambda self, case=case: self.check(case)
    globals()[name] = type(name, (base,), members)


add_cases("Must", Clauses, "must.txt", 112)
add_cases("MustWait", Waiting, "must.txt", 1)
add_cases("Smuggling", Clauses, "smuggling.txt", 87)

if __name__ == "__main__":
    harness.main()
