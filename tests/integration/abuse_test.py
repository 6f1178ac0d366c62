#!/usr/bin/env python3
"""Bad input of every kind against a real ursulad: a clear answer, nothing applied, a living server.

HTTP's own clauses are in http_clauses_test.py. Here: limits, slow and broken clients, too many of
them, names, offsets, JSON, data directories and flags.
"""
import json
import os
import resource
import shutil
import socket
import subprocess
import tempfile
import unittest

import harness

HEAD = " HTTP/1.1\r\nHost: h\r\n"


def code_of(body):
    return json.loads(body)["error"]["code"]


class Attacked(unittest.TestCase):
    """A server with a stream, /demo/log, that holds the same after each test as before."""
    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.server = harness.Server("--body-bytes-max", "1MiB", *cls.flags)
        cls.server.ask("PUT", "/demo")
        cls.server.ask("PUT", "/demo/log", "before", {"Content-Type": "text/plain"})
        cls.server.ask("PUT", "/demo/json", None, {"Content-Type": "application/json"})

    @classmethod
    def tearDownClass(cls):
        with cls.server:
            assert cls.server.stop() == 0

    def tearDown(self):
        self.assertIsNone(self.server.process.poll())
        self.assertEqual(self.server.read_all("/demo/log"), b"before")
        status, _, body = self.server.ask("GET", "/demo/streams")
        self.assertEqual((status, [s["path"] for s in json.loads(body)["streams"]]),
                         (200, ["json", "log"]))

    def refused(self, client, status, code):
        """Reads a refusal that closes the connection; its head."""
        got, head, body = client.read_response()
        self.assertEqual((got, code_of(body)), (status, code), head)
        self.assertIn("\r\nConnection: close\r\n", head)
        client.end()
        self.assertEqual(client.read_all(), b"")
        return head

    def post(self, extra):
        return "POST /demo/log" + HEAD + "Content-Type: text/plain\r\n" + extra + "\r\n\r\n"


class Heads(Attacked):
    def refuse(self, request, status, code):
        with self.subTest(request[:60]), self.server.raw() as client:
            client.write(request)
            return self.refused(client, status, code)

    def test_malformed_request_lines(self):
        for line in ("", "GET", "GET /", "GET / HTTP", "GET / HTTP/1.1 x", "/ GET HTTP/1.1",
                     "GET / HTTP/one.one", "\x00\x00\x00", "{\"json\": true}", "\x80\x81 / HTTP/1.1"):
            request = (line + "\r\nHost: h\r\n\r\n").encode("latin-1")
            if line == "":
                request = b"\r\n" * 20
            self.refuse(request, 400, "MALFORMED_REQUEST")

    def test_malformed_headers(self):
        for line in ("no colon", ": no name", "na me: x", "X : y", " X: y", "X: \x00", "X: a\x07",
                     "X: y\nZ: z", "X: y\rZ: z", "Content-Length: x", "Transfer-Encoding: x"):
            self.refuse("POST /demo/log%s%s\r\n\r\n" % (HEAD, line), 400, "MALFORMED_REQUEST")

    def test_headers_past_the_limits(self):
        for lines in ("X: " + "a" * 66_000, "\r\n".join("X%d: y" % i for i in range(101)),
                      "a" * 66_000 + ": y", "\r\n".join("X: " + "a" * 1000 for _ in range(70))):
            self.refuse("GET /demo/log%s%s\r\n\r\n" % (HEAD, lines), 431, "HEADERS_TOO_LARGE")

    def test_target_past_the_limit(self):
        for target in ("/" + "a" * 9000, "/demo/log?offset=" + "0" * 9000, "/%41" * 3000):
            self.refuse("GET %s%s\r\n" % (target, HEAD), 414, "URI_TOO_LONG")

    def test_names_past_their_limits_below_that(self):
        for name in ("a" * 1025, "%41" * 1025, "%C3%A9" * 513, "a/" * 512 + "ab"):
            status, _, body = self.server.ask("PUT", "/v1/stream/" + name)
            self.assertEqual((status, code_of(body)), (400, "INVALID_STREAM_NAME"), name[:20])

    def test_two_framings(self):
        for extra in ("Content-Length: 5\r\nTransfer-Encoding: chunked",
                      "Transfer-Encoding: chunked\r\nContent-Length: 5"):
            self.refuse(self.post(extra) + "0\r\n\r\n" + self.post("Content-Length: 1") + "x", 400,
                        "MALFORMED_REQUEST")

    def test_unknown_methods(self):
        for method in ("BREW", "get", "G", "GETGET", "PROPFIND", "PATCH", "TRACE", "A" * 300):
            with self.subTest(method[:20]), self.server.raw() as client:
                client.write("%s /demo/log%s\r\n" % (method, HEAD))
                status, head, body = client.read_response()
                self.assertEqual((status, code_of(body)), (405, "METHOD_NOT_ALLOWED"))
                self.assertRegex(head, r"\r\nAllow: [A-Z, ]*POST")

    def test_versions_that_are_not_spoken(self):
        for version in ("0.9", "1.2", "2.0", "3.0"):
            self.refuse("GET /demo/log HTTP/%s\r\nHost: h\r\n\r\n" % version, 505,
                        "HTTP_VERSION_NOT_SUPPORTED")


class Bodies(Attacked):
    def test_past_the_limit_is_read_by_a_client_that_goes_on_sending(self):
        for framing, piece in (("Content-Length: %d" % (8 << 20), b"x" * (1 << 20)),
                               ("Transfer-Encoding: chunked",
                                b"100000\r\n" + b"x" * (1 << 20) + b"\r\n")):
            with self.subTest(framing), self.server.raw() as client:
                client.write(self.post(framing))
                for _ in range(8):
                    client.write(piece)
                self.refused(client, 413, "PAYLOAD_TOO_LARGE")

    def test_past_the_limit_is_told_before_it_is_sent(self):
        for framing in ("Content-Length: 1048577", "Content-Length: 1048577\r\nExpect: 100-continue",
                        "Transfer-Encoding: chunked"):
            with self.subTest(framing), self.server.raw() as client:
                client.write(self.post(framing) + ("100001\r\n" if "chunked" in framing else ""))
                self.refused(client, 413, "PAYLOAD_TOO_LARGE")

    def test_ends_half_way(self):
        for request in (self.post("Content-Length: 10") + "12345",
                        self.post("Transfer-Encoding: chunked") + "5\r\n12345\r\n0\r\n"):
            with self.subTest(request[-20:]), self.server.raw() as client:
                client.write(request)
                client.end()
                status, _, body = client.read_response()
                self.assertEqual((status, code_of(body)), (400, "MALFORMED_REQUEST"))

    def test_broken_off_half_way(self):
        for _ in range(20):
            with self.server.raw() as client:
                client.write(self.post("Content-Length: 100000") + "x" * 50_000)
                # A reset, not a FIN.
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def test_empty_and_untyped(self):
        for headers, body, code in (({"Content-Type": "text/plain"}, "", "EMPTY_APPEND"),
                                    ({}, "x", "CONTENT_TYPE_REQUIRED")):
            status, _, text = self.server.ask("POST", "/demo/log", body, headers)
            self.assertEqual((status, code_of(text)), (400, code))


class Slow(Attacked):
    """Apart from the rest, which no short time-out is to end."""
    flags = ("--request-timeout-ms", "400")

    def test_stops_half_way(self):
        for request in (self.post("Content-Length: 10") + "12345", self.post("Content-Length: 10"),
                        self.post("Transfer-Encoding: chunked") + "5\r\n123",
                        self.post("Transfer-Encoding: chunked") + "5\r\n12345\r\n",
                        self.post("Transfer-Encoding: chunked") + "5\r\n12345\r\n0\r\n"):
            with self.subTest(request[-20:]), self.server.raw() as client:
                client.write(request)
                self.refused(client, 408, "REQUEST_TIMEOUT")

    def trickle(self, start, piece):
        """Sends `start`, then `piece` again and again until the server answers."""
        with self.server.raw() as client:
            client.write(start)
            client.socket.settimeout(0.05)
            for _ in range(harness.PATIENCE_S * 20):
                client.write(piece)
                try:
                    if client._fill():
                        break
                except TimeoutError:
                    pass
            client.socket.settimeout(harness.PATIENCE_S)
            self.refused(client, 408, "REQUEST_TIMEOUT")

    def test_header_that_trickles(self):
        self.trickle("GET /demo/log" + HEAD + "X: ", "y")

    def test_request_line_that_trickles(self):
        self.trickle("GET /", "y")

    def test_body_that_trickles(self):
        self.trickle(self.post("Content-Length: 100000"), "y")
        self.trickle(self.post("Transfer-Encoding: chunked"), "1\r\ny\r\n")
        self.trickle(self.post("Transfer-Encoding: chunked") + "1;", "y")


class Whole(Attacked):
    """The limit of a whole body's time, with no minimum rate: slow, but never for long."""
    flags = ("--request-timeout-ms", "400", "--body-timeout-ms", "1000",
             "--body-bytes-per-second-min", "0")

    def test_body_that_takes_too_long(self):
        Slow.trickle(self, self.post("Content-Length: 100000"), "y")


class Json(Attacked):
    def append(self, body):
        status, _, text = self.server.append("/demo/json", body, "application/json")
        return status, code_of(text) if status >= 400 else ""

    def tearDown(self):
        super().tearDown()
        self.assertEqual(self.server.ask("GET", "/demo/json")[2], b"[]")

    def test_not_json(self):
        for body in (b"{", b"}", b"[", b"]", b"[1,]", b"[,1]", b"[1 2]", b"{\"a\"}", b"{\"a\":}",
                     b"{a:1}", b"{'a':1}", b"{\"a\":1,}", b"{1:2}", b"nul", b"True", b"NaN",
                     b"Infinity", b"-", b"+1", b"01", b"1.", b".5", b"1e", b"0x1", b"1 2", b"\"",
                     b"\"a", b"\"\\x\"", b"\"\\u12\"", b"\"\n\"", b"\"\0\"", b"// c\n1", b"/**/1",
                     b"[1]]", b"{}{}", b"1\xef\xbb\xbf", b"undefined", b" ", b"\x00", b"[\"a\" \"b\"]"):
            self.assertEqual(self.append(body), (400, "INVALID_JSON"), body)

    def test_not_utf8(self):
        for text in (b"\x80", b"\xbf", b"\xc0\xaf", b"\xc1\xbf", b"\xc3", b"\xc3\x28", b"\xe0\x80\xaf",
                     b"\xe2\x28\xa1", b"\xe2\x82", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x80\x80\xaf",
                     b"\xf0\x9f\x98", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfe", b"\xff"):
            for body in (b"\"" + text + b"\"", b"{\"" + text + b"\":1}", b"[1," + text + b"]", text):
                self.assertEqual(self.append(body), (400, "INVALID_JSON"), body)

    def test_too_deep_too_many_or_nothing(self):
        self.assertEqual(self.append("[" * 600 + "]" * 600), (400, "JSON_TOO_DEEP"))
        self.assertEqual(self.append("{\"a\":" * 100_000), (400, "JSON_TOO_DEEP"))
        self.assertEqual(self.append("[" + "1," * 300_000 + "1]"), (413, "TOO_MANY_MESSAGES"))
        self.assertEqual(self.append("[]"), (400, "EMPTY_JSON_ARRAY"))


class Names(Attacked):
    def test_no_path_leads_out_of_its_place(self):
        for path in ("/v1/stream/a%00b", "/demo/a%00", "/demo/%00", "/v1/stream/..", "/demo/..",
                     "/demo/../log", "/v1/stream/a/../b", "/v1/stream/%2e%2e/b", "/demo/%2e%2e",
                     "/demo/.%2E", "/v1/stream/a/./b", "/v1/stream/a//b", "/v1/stream/", "/demo/",
                     "/v1/stream//etc/passwd", "/v1/stream/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
                     "/demo/a%2fb", "/demo/%2e%2e%2flog", "/v1/stream/a%0d%0aX:%20y", "/demo/%7f",
                     "/demo/%1b[31m"):
            for method in ("PUT", "POST", "GET", "DELETE"):
                status, headers, body = self.server.ask(method, path, b"x",
                                                        {"Content-Type": "text/plain"})
                self.assertEqual((status, code_of(body)), (400, "INVALID_STREAM_NAME"),
                                 (method, path))
                self.assertNotIn("X", headers)

    def test_buckets(self):
        for bucket in ("abc", "a" * 65, "Demo", "de.mo", "de%20mo", "demo%00", "%00%00%00%00", "..",
                       "%2e%2e%2e%2e", "demo%2f", "d%c3%a9mo"):
            status, _, body = self.server.ask("PUT", "/" + bucket)
            self.assertEqual((status, code_of(body)), (400, "INVALID_BUCKET"), bucket)

    def test_escapes_are_undone_once_everywhere(self):
        for path in ("/demo/%6cog", "/%64emo/log", "/%64%65%6d%6f/%6c%6f%67", "/demo/%6Cog"):
            self.assertEqual(self.server.ask("GET", path)[::2], (200, b"before"), path)
        for query in ("offset=%2d1", "offset=%2D%31", "%6fffset=-1", "offset=-1&x=%zz"):
            self.assertEqual(self.server.ask("GET", "/demo/log?" + query)[0], 200, query)
        for path in ("/demo/%256cog", "/%2564emo/log", "/demo/log%20", "/demo/LOG"):
            self.assertIn(self.server.ask("GET", path)[0], (400, 404), path)
        self.assertEqual(self.server.ask("GET", "/v1/%73tream/log")[0], 404)
        self.assertEqual(self.server.ask("GET", "/demo/%73treams")[0], 200)

    def test_escapes_that_are_none(self):
        for path in ("/demo/%", "/demo/%4", "/demo/%zz", "/demo/log%", "/v1/stream/%g1",
                     "/demo/%u0041", "/demo/%-1", "/demo/% 1"):
            target = path.replace(" ", "%20")
            if target == path:
                status, _, body = self.server.ask("GET", path)
                self.assertEqual((status, code_of(body)), (400, "INVALID_STREAM_NAME"), path)
        for query in ("offset=%", "offset=%4", "offset=%zz"):
            self.assertEqual(self.server.ask("GET", "/demo/log?" + query)[0], 400, query)

    def test_names_that_are_no_utf8(self):
        for name in ("%80", "%ff", "%c0%af", "%c3", "%ed%a0%80", "%f4%90%80%80", "%c0%ae%c0%ae"):
            status, _, body = self.server.ask("PUT", "/v1/stream/" + name)
            self.assertEqual((status, code_of(body)), (400, "INVALID_STREAM_NAME"), name)

    def test_reserved(self):
        for path in ("/v1", "/v1/other", "/healthz", "/metrics/x", "/admin/x", "/_any/x",
                     "/demo/snapshot", "/demo/$x", "/v1/stream/__ds/x"):
            status, _, body = self.server.ask("PUT", path)
            self.assertEqual((status, code_of(body)), (400, "RESERVED_NAME"), path)


class Offsets(Attacked):
    GOOD = "0000000000000000_0000000000000006"
    WRONG = ("", "0", "1", "6", "-2", "-01", "+1", "--1", "NOW", "nowx", "null", "0_6", "0_0",
             GOOD[:-1], GOOD + "0", GOOD + " ", " " + GOOD, GOOD[1:], "-" + GOOD, GOOD.replace("_", "-"),
             GOOD.replace("_", ""), GOOD.replace("_", "__"), GOOD + "_" + GOOD, GOOD[:-1] + "g",
             GOOD[:-1] + "-", GOOD[:-1] + "\u0666", "1" + GOOD[1:], "9" * 16 + "_" + "9" * 16,
             "0000000000000001_0000000000000000", "0x00000000000000_0000000000000006",
             "000000000000000_00000000000000006", "a" * 33, "\x00", GOOD + "\x00", "%", "'", "1e3",
             "18446744073709551616", "../..", "0" * 5000)

    def ask(self, offset, more="", headers=None):
        target = "/demo/log?offset=%s%s" % (harness.quote(offset), more)
        status, _, body = self.server.ask("GET", target, headers=headers or {})
        return status, code_of(body) if status >= 400 else ""

    def test_of_every_wrong_shape(self):
        for live in ("", "&live=long-poll", "&live=sse"):
            for offset in self.WRONG:
                self.assertEqual(self.ask(offset, live), (400, "INVALID_OFFSET"), (offset[:40], live))

    def test_right_ones_are_taken(self):
        for offset in (self.GOOD, "-1", "now", "0000000000000000_0000000000000000",
                       "0000000000000000_9999999999999999"):
            self.assertEqual(self.ask(offset), (200, ""), offset)

    def test_twice_or_not_at_all_where_needed(self):
        for query, code in (("offset=-1&offset=-1", "INVALID_OFFSET"), ("offset", "INVALID_OFFSET"),
                            ("live=sse", "OFFSET_REQUIRED"), ("live=long-poll", "OFFSET_REQUIRED"),
                            ("offset=-1&live=tea", "INVALID_LIVE"), ("offset=-1&live=", "INVALID_LIVE")):
            status, _, body = self.server.ask("GET", "/demo/log?" + query)
            self.assertEqual((status, code_of(body)), (400, code), query)

    def test_of_a_resumed_subscriber(self):
        for offset in ("6", self.GOOD + "0", "a" * 33, "0_6"):
            status, _, body = self.server.ask("GET", "/demo/log?live=sse&offset=-1",
                                              headers={"Last-Event-ID": offset})
            self.assertEqual((status, code_of(body)), (400, "INVALID_OFFSET"), offset)

    def test_of_a_fork(self):
        for offset in ("6", "-1", "now", self.GOOD[:-1], self.GOOD[:-1] + "7"):
            status, _, body = self.server.ask("PUT", "/demo/fork", headers={
                "Stream-Forked-From": "/demo/log", "Stream-Fork-Offset": offset})
            self.assertEqual(status, 400, offset)
            self.assertIn(code_of(body), ("INVALID_FORK", "FORK_OFFSET_INVALID", "INVALID_OFFSET"))

    def test_inside_a_message(self):
        with harness.Server("--memory") as server:
            server.ask("PUT", "/v1/stream/j", "[\"abc\"]", {"Content-Type": "application/json"})
            status, _, body = server.ask(
                "GET", "/v1/stream/j?offset=0000000000000000_0000000000000002")
            # It stands for the message's start (docs/PROTOCOL.md, Offsets).
            self.assertEqual((status, body), (200, b'["abc"]'))


class Crowds(unittest.TestCase):
    def test_too_many_connections_are_told_and_the_rest_served(self):
        with harness.Server("--connections-max", "4") as server:
            clients = [server.raw() for _ in range(4)]
            try:
                for i, client in enumerate(clients):
                    client.write("PUT /v1/stream/s%d%sContent-Length: 0\r\n\r\n" % (i, HEAD))
                    self.assertEqual(client.read_response()[0], 201)
                for _ in range(20):
                    with server.raw() as more:
                        status, head, body = more.read_response()
                        self.assertEqual((status, code_of(body)), (503, "OVERLOADED"))
                        self.assertIn("\r\nRetry-After: 1\r\n", head)
                        self.assertIn("\r\nConnection: close\r\n", head)
                clients[0].write("GET /v1/stream/s0%s\r\n" % HEAD)
                self.assertEqual(clients[0].read_response()[0], 200)
                clients.pop().socket.close()
                harness.wait_until(lambda: server.ask("GET", "/v1/stream/s0")[0] == 200)
            finally:
                for client in clients:
                    client.socket.close()

    def test_clients_cannot_take_the_last_descriptor(self):
        """Descriptors for 40 connections or so, 300 clients: appends go on, files can be opened."""
        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (140, 140))

        with harness.Server("--core-count", "2", "--wal-bytes-max", "64MiB", "--body-bytes-max",
                            "1MiB", before=few, admin=True) as server:
            harness.wait_until(lambda: "fewer connections than" in server.log_text())
            with server.raw() as writer:
                writer.write("PUT /v1/stream/s%sContent-Length: 0\r\n\r\n" % HEAD)
                self.assertEqual(writer.read_response()[0], 201)
                crowd = [socket.socket() for _ in range(300)]
                try:
                    for client in crowd:  # Most wait in the kernel, or are not even let in there.
                        client.setblocking(False)
                        client.connect_ex(("127.0.0.1", server.port))
                    for i in range(60):  # Through several files of the log.
                        body = "%07d\n" % i * (1 << 17)
                        request = ("POST /v1/stream/s%sContent-Type: application/octet-stream\r\n"
                                   "Content-Length: %d\r\n\r\n" % (HEAD, len(body)) + body)

                        def appended():
                            writer.write(request)
                            status, _, answer = writer.read_response()
                            # On a slow disk a log of such small files has the next one not yet, now and then.
                            self.assertIn((status, code_of(answer) if answer else ""),
                                          ((204, ""), (503, "OVERLOADED")), i)
                            return status == 204
                        harness.wait_until(appended)
                finally:
                    for client in crowd:
                        client.close()
            harness.wait_until(lambda: server.ask("HEAD", "/v1/stream/s")[0] == 200)
            self.assertNotIn("no space for the write-ahead log", server.log_text())
            self.assertEqual(server.stop(), 0)
            server.start()
            self.assertEqual(len(server.read_all("/v1/stream/s")), 60 << 20)

    def test_many_half_open_clients_leave_nothing_behind(self):
        # A client that is held up before its first byte must not pass for an idle one.
        with harness.Server("--memory", "--idle-timeout-ms", "10000", "--request-timeout-ms", "300",
                            admin=True) as server:
            server.ask("PUT", "/v1/stream/s")
            starts = ("", "G", "GET / HTTP/1.1\r\n", "POST /v1/stream/s" + HEAD +
                      "Content-Type: application/octet-stream\r\nContent-Length: 9\r\n\r\n1234")
            crowd = []
            for i in range(200):
                crowd.append(server.raw())
                crowd[-1].write(starts[i % len(starts)])
            for i, client in enumerate(crowd):
                data = client.read_all()
                self.assertEqual(data[:12], b"HTTP/1.1 408" if i % len(starts) else b"")
                client.socket.close()
            self.assertEqual(server.read_all("/v1/stream/s"), b"")
            # The admin's own connection isn't counted among the clients'.
            harness.wait_until(lambda: server.metric("ursula_http_connections") == 0)


def run(*flags, data_dir=None, **options):
    """ursulad that is expected not to start."""
    place = [] if data_dir is None else ["--data-dir", str(data_dir)]
    options.setdefault("env", harness.environment())
    return subprocess.run([harness.ursulad_path, "--listen", "127.0.0.1:0", "--admin-listen", "none",
                           *place, *flags], capture_output=True, text=True,
                          timeout=harness.PATIENCE_S, **options)


class Directories(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="ursula-")
        self.path = os.path.join(self.folder.name, "data")

    def tearDown(self):
        self.folder.cleanup()

    def refused(self, *words, flags=(), **options):
        done = run(*flags, data_dir=self.path, **options)
        self.assertEqual(done.returncode, 1, done.stderr)
        last = done.stderr.splitlines()[-1]
        self.assertTrue(last.startswith("ursulad: can't start: "), last)
        for word in (self.path, *words):
            self.assertIn(word, last)

    def make(self):
        with harness.Server("--raft-group-count", "4", data_dir=self.path) as server:
            server.ask("PUT", "/v1/stream/s", "kept", {"Content-Type": "text/plain"})
            self.assertEqual(server.stop(), 0)

    def still_good(self):
        with harness.Server(data_dir=self.path) as server:
            self.assertEqual(server.read_all("/v1/stream/s"), b"kept")

    def test_in_use(self):
        with harness.Server(data_dir=self.path) as server:
            self.refused("in use by another process")
            self.assertEqual(server.ask("PUT", "/v1/stream/s")[0], 201)

    def test_a_file(self):
        with open(self.path, "w") as file:
            file.write("not a directory")
        self.refused()

    def test_below_a_file(self):
        with open(self.path, "w"):
            pass
        self.path += "/data"
        self.refused()

    def test_nowhere(self):
        self.path = "/proc/ursula-data"
        self.refused()

    def test_link_to_itself(self):
        os.symlink(self.path, self.path)
        self.refused()

    def test_unreadable(self):
        self.make()
        options = {}
        if os.geteuid() == 0:  # Root reads everything: as somebody else.
            os.chmod(self.folder.name, 0o755)
            shutil.copy(harness.ursulad_path, os.path.join(self.folder.name, "ursulad"))
            options = {"user": 65534, "cwd": self.folder.name}
        os.chmod(self.path, 0)
        path, harness.ursulad_path = harness.ursulad_path, (
            os.path.join(self.folder.name, "ursulad") if options else harness.ursulad_path)
        try:
            self.refused("Permission denied", **options)
        except (PermissionError, OSError) as error:
            self.skipTest("needs to run a program as another user: %s" % error)
        finally:
            harness.ursulad_path = path
            os.chmod(self.path, 0o700)
        self.still_good()

    def meta(self, change):
        path = os.path.join(self.path, "META")
        with open(path, "rb") as file:
            bytes_ = file.read()
        with open(path, "wb") as file:
            file.write(change(bytearray(bytes_)))
        return bytes_

    def test_another_version(self):
        self.make()
        def later(meta):
            meta[8] += 1  # docs/formats: the version follows eight bytes of magic.
            return meta
        good = self.meta(later)
        self.refused("META", "version 3", "use the release that wrote it")
        self.meta(lambda _: good)
        self.still_good()

    def test_no_directory_of_ours(self):
        self.make()
        for change, word in ((lambda meta: b"", "META"), (lambda meta: b"something else", "META"),
                             (lambda meta: meta[:-1], "META"), (lambda meta: meta + b"x", "META"),
                             (lambda meta: meta[:16] + bytes([meta[16] ^ 0xff]) + meta[17:], "damaged")):
            good = self.meta(change)
            self.refused(word)
            self.meta(lambda _, good=good: good)
        os.rename(self.path + "/META", self.path + "/META.away")
        self.refused("no META file")
        os.rename(self.path + "/META.away", self.path + "/META")
        self.still_good()

    def test_another_group_count(self):
        self.make()
        for count in ("1", "3", "5", "4096"):
            self.refused("group_count 4", flags=("--raft-group-count", count))
        self.still_good()


class Flags(unittest.TestCase):
    def refused(self, *flags, lines=1, env=None):
        done = subprocess.run([harness.ursulad_path, *flags], capture_output=True, text=True,
                              timeout=harness.PATIENCE_S, env=harness.environment(**(env or {})))
        self.assertEqual(done.returncode, 2, (flags, done.stderr))
        self.assertEqual(len(done.stderr.splitlines()), lines, done.stderr)
        self.assertEqual(done.stdout, "")
        return done.stderr

    def test_too_little_log_for_the_bodies(self):
        said = self.refused("--wal-bytes-max", "64MiB", "--core-count", "4")
        for part in ("--wal-bytes-max 64MiB", "--core-count 4", "--body-bytes-max 32MiB"):
            self.assertIn(part, said)

    def test_unknown(self):
        for flag in ("--datadir", "--data_dir", "-d", "data", "--", "--=", "--listen-on=x", "---help",
                     "--Memory", "--memory-"):
            self.assertIn("is not an option (see --help)", self.refused(flag), flag)
        self.assertIn("needs a value", self.refused("--listen"))

    def test_values_of_every_wrong_kind(self):
        for flag, values in {
                "--listen": ("", "x", ":", "1.2.3.4", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536",
                             "127.0.0.1:-1", "[::1:80", "http://127.0.0.1:80", "example.com:80"),
                "--core-count": ("", "0", "-1", "1.5", "x", "1025", "99999999999999999999", "1 ", "0x2"),
                "--busy-poll-us": ("", "-1", "10001", "1ms"),
                "--body-bytes-max": ("", "0", "-1MiB", "1.5MiB", "1PiB", "1023", "65MiB", "MiB"),
                "--body-bytes-per-second-min": ("", "-1", "fast", "2GiB"),
                "--body-timeout-ms": ("", "0", "99", "1h", "99999999999"),
                "--request-timeout-ms": ("99", "0", "3600001"),
                "--memory": ("maybe", "2", "tru"),
                "--log-level": ("", "trace", "INFO"),
                "--log-format": ("", "xml"),
                "--data-dir": ("",),
                "--public-url": ("", "example.com", "ftp://x", "http://", "http://a/b", "http://a b"),
        }.items():
            for value in values:
                text = self.refused("%s=%s" % (flag, value))
                self.assertIn("%s: '%s' is not " % (flag, value), text)

    def test_contradictory(self):
        for flags, words in (
                (("--memory", "--data-dir", "x"), ("--memory", "--data-dir")),
                (("--body-bytes-max", "2MiB", "--inflight-body-bytes-max", "1MiB"),
                 ("--inflight-body-bytes-max", "--body-bytes-max")),
                (("--listen", "127.0.0.1:9", "--admin-listen", "127.0.0.1:9"), ("--admin-listen",)),
                (("--listen", "0.0.0.0:9"), ("--allow-unauthenticated",)),
                (("--body-timeout-ms", "500", "--request-timeout-ms", "1000"),
                 ("--body-timeout-ms", "--request-timeout-ms"))):
            text = self.refused(*flags)
            for word in words:
                self.assertIn(word, text)

    def test_of_the_environment_and_of_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "u.toml")
            for text in ("memory = ", "memory = 1\nmemory = 2", "[a]\nmemory = true", "datadir = 'x'",
                         "core_count = -1", "\x00", "core_count = 'many'", "= 1"):
                with open(path, "w") as file:
                    file.write(text)
                self.assertIn(path, self.refused("--config", path), text)
            self.assertIn("No such file", self.refused("--config", path + ".none"))
            self.assertIn("--config", self.refused("--config", folder))
        self.assertIn("URSULA_CORE_COUNT", self.refused(env={"URSULA_CORE_COUNT": "many"}))

    def test_each_mistake_is_a_line(self):
        self.refused("--nonsense", "--core-count", "many", "--listen", "here", lines=3)


if __name__ == "__main__":
    harness.main()
