#!/usr/bin/env python3
"""What clients of every kind meet at a real ursulad."""
import gzip
import json
import os
import subprocess
import threading
import unittest

import harness


class CurlTour(unittest.TestCase):
    """The lines of the README, as printed."""

    def curl(self, *arguments):
        done = subprocess.run(["curl", "-sS", *arguments], capture_output=True, text=True,
                              timeout=harness.PATIENCE_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_six_commands(self):
        with harness.Server() as server:
            status = ["-o", os.devnull, "-w", "%{http_code}"]
            self.assertEqual(self.curl("-X", "PUT", server.url + "/demo", *status), "201")
            self.assertEqual(self.curl("-X", "PUT", server.url + "/demo/hello", "-H",
                                       "Content-Type: text/plain", *status), "201")
            self.assertEqual(
                self.curl("-X", "POST", server.url + "/demo/hello", "-H",
                          "Content-Type: text/plain", "--data-binary",
                          "hello world", *status), "204")
            self.assertEqual(self.curl(server.url + "/demo/hello?offset=-1"), "hello world")
            told = self.curl(server.url + "/demo/append-batch", "-H",
                             "Content-Type: application/x-ndjson", "--data-binary",
                             '{"stream":"hello","content_type":"text/plain","data":" and"}\n'
                             '{"stream":"hello","content_type":"text/plain","data":" more"}')
            self.assertEqual([json.loads(line)["outcome"] for line in told.splitlines()],
                             ["applied", "applied"])
            live = subprocess.Popen(
                ["curl", "-sSN", server.url + "/demo/hello?offset=-1&live=sse"],
                stdout=subprocess.PIPE, text=True)
            self.assertEqual(live.stdout.readline(), "retry:1000\n")
            self.assertEqual(live.stdout.readline(), "id:0000000000000000_0000000000000000\n")
            self.assertEqual(live.stdout.readline(), "\n")
            self.assertEqual(live.stdout.readline(), "event: data\n")
            self.assertEqual(live.stdout.readline(), "data:hello world and more\n")
            server.stop()
            rest = live.stdout.read()
            self.assertIn("event: control\n", rest)
            self.assertEqual(live.wait(harness.PATIENCE_S), 0)
            live.stdout.close()


class Served(unittest.TestCase):
    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.server = harness.Server("--long-poll-timeout-ms", "300", "--body-bytes-max", "1MiB",
                                    *cls.flags)
        cls.server.ask("PUT", "/demo")

    @classmethod
    def tearDownClass(cls):
        with cls.server:
            assert cls.server.stop() == 0

    def put(self, target, body=None, content_type="text/plain", **headers):
        status, _, text = self.server.ask("PUT", target, body,
                                          {"Content-Type": content_type, **headers})
        self.assertIn(status, (200, 201), text)


class BothNamespaces(Served):
    def test_same_stream_life_under_both_url_forms(self):
        for target in ("/v1/stream/life/of/a-stream", "/demo/life", "/demo/affinity/life"):
            with self.subTest(target):
                self.put(target)
                self.assertEqual(self.server.append(target, "one ", "text/plain")[0], 204)
                self.assertEqual(self.server.append(target, "two", "text/plain",
                                                    Stream_Closed="true")[0], 204)
                self.assertEqual(self.server.read_all(target), b"one two")
                self.assertEqual(self.server.append(target, "x", "text/plain")[0], 409)
                self.assertEqual(self.server.ask("DELETE", target)[0], 204)
                self.assertEqual(self.server.ask("GET", target)[0], 404)

    def test_buckets_and_their_listing(self):
        ask = self.server.ask
        self.assertEqual(ask("PUT", "/listed")[0], 201)
        self.assertEqual(ask("PUT", "/listed")[0], 200)
        self.assertEqual(ask("PUT", "/unknown-bucket/s")[0], 404)
        self.assertEqual(ask("PUT", "/ab")[0], 400)
        for name in ("b", "a", "c"):
            self.put("/listed/" + name)
        status, _, body = ask("GET", "/listed/streams?limit=2")
        self.assertEqual(status, 200)
        listing = json.loads(body)
        self.assertIn("a", json.dumps(listing))
        self.assertNotIn("\"c\"", json.dumps(listing["streams"]))
        self.assertEqual(ask("DELETE", "/listed")[0], 409)
        for name in ("b", "a", "c"):
            self.assertEqual(ask("DELETE", "/listed/" + name)[0], 204)
        self.assertEqual(ask("DELETE", "/listed")[0], 204)
        self.assertEqual(ask("GET", "/listed")[0], 404)

    def test_deletions_that_are_refused_are_noticed_by_nobody(self):
        self.assertEqual(self.server.ask("PUT", "/lively")[0], 201)
        self.put("/lively/there")
        over = threading.Event()
        refused = []

        def delete():
            while not over.is_set():
                refused.append(self.server.ask("DELETE", "/lively")[0])

        deleters = [threading.Thread(target=delete) for _ in range(3)]
        for one in deleters:
            one.start()
        try:
            made = [self.server.ask("PUT", "/lively/s%d" % i)[0] for i in range(200)]
        finally:
            over.set()
            for one in deleters:
                one.join()
        self.assertEqual(set(made), {201})
        self.assertEqual(set(refused), {409})

    def test_admin_paths_are_not_on_the_client_port(self):
        for path in ("/metrics", "/healthz", "/readyz", "/admin"):
            self.assertNotEqual(self.server.ask("GET", path)[0], 200, path)


class Framing(Served):
    def post(self, extra, body):
        return ("POST /demo/framing HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\n" + extra +
                "\r\n\r\n" + body)

    def setUp(self):
        self.server.ask("DELETE", "/demo/framing")
        self.put("/demo/framing")

    def test_keep_alive_and_pipelining(self):
        with self.server.raw() as client:
            client.write("".join(self.post("Content-Length: 3", "%03d" % i) for i in range(200)))
            for _ in range(200):
                self.assertEqual(client.read_response()[0], 204)
        self.assertEqual(self.server.read_all("/demo/framing"),
                         b"".join(b"%03d" % i for i in range(200)))

    def test_chunked_bodies(self):
        with self.server.raw() as client:
            client.write(self.post("Transfer-Encoding: chunked",
                                   "5\r\nhello\r\n1;x=y\r\n \r\n5\r\nworld\r\n0\r\n\r\n"))
            self.assertEqual(client.read_response()[0], 204)
        self.assertEqual(self.server.read_all("/demo/framing"), b"hello world")

    def test_expect_continue(self):
        with self.server.raw() as client:
            client.write(self.post("Content-Length: 2\r\nExpect: 100-continue", ""))
            self.assertEqual(client.read_to("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n")
            client.write("hi")
            self.assertEqual(client.read_response()[0], 204)

    def test_half_closed_client_gets_its_answer(self):
        with self.server.raw() as client:
            client.write("GET /demo/framing HTTP/1.1\r\nHost: h\r\n\r\n")
            client.end()
            self.assertEqual(client.read_response()[0], 200)

    def test_limits_have_answers(self):
        cases = [
            ("GET /" + "a" * 20000 + " HTTP/1.1\r\nHost: h\r\n\r\n", 414),
            ("GET / HTTP/1.1\r\nHost: h\r\nX: " + "a" * 80000 + "\r\n\r\n", 431),
            ("GET / HTTP/1.1\r\nHost: h\r\n" + "A: 1\r\n" * 200 + "\r\n", 431),
            (self.post("Content-Length: 1\r\nTransfer-Encoding: chunked", "x"), 400),
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("BREW / HTTP/1.1\r\nHost: h\r\n\r\n", 405),
            ("GET / HTTP/1.1\r\nHost: h\r\nX: a\nY: b\r\n\r\n", 400),
        ]
        for request, wanted in cases:
            with self.subTest(wanted), self.server.raw() as client:
                client.write(request)
                self.assertEqual(client.read_response()[0], wanted)
                client.end()
                self.assertEqual(client.read_all(), b"")

    def test_too_large_a_body_is_answered_to_one_that_sends_it_all(self):
        with self.server.raw() as client:
            client.write(self.post("Content-Length: 20971520", ""))
            for _ in range(20):
                client.write(b"x" * (1 << 20))
            self.assertEqual(client.read_response()[0], 413)

    def test_a_refused_write_says_its_outcome(self):
        """Also where nothing of it was looked at but its first bytes."""
        cases = [
            (self.post("Content-Length: 20971520", ""), 413),
            (self.post("Content-Length: 1\r\nContent-Encoding: br", "x"), 415),
            (self.post("Content-Length: 1\r\nExpect: tea", "x"), 417),
            (self.post("X: " + "a" * 80000, ""), 431),
            (self.post("A: 1\r\n" * 200 + "B: 1", ""), 431),
            ("POST / HTTP/1.9\r\nHost: h\r\n\r\n", 505),
            ("PUT /healthz HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("DELETE / HTTP/1.1\r\nHost: h\r\n\r\n", 404),
        ]
        for request, wanted in cases:
            with self.subTest(wanted), self.server.raw() as client:
                client.write(request)
                head = client.read_to("\r\n\r\n")
                self.assertIn(" %d " % wanted, head)
                self.assertIn("\r\nStream-Outcome: refused\r\n", head)
        for cut_off in (self.post("Content-Length: 10", "12345"), "POST /demo/framing HTTP/1.1\r\nHo"):
            with self.subTest(cut_off), self.server.raw() as client:
                client.write(cut_off)
                client.end()
                self.assertIn("\r\nStream-Outcome: not-proposed\r\n", client.read_to("\r\n\r\n"))
        with self.server.raw() as client:
            client.write("GET /" + "a" * 20000 + " HTTP/1.1\r\nHost: h\r\n\r\n")
            self.assertNotIn("Stream-Outcome:", client.read_to("\r\n\r\n"))

    def test_slow_requests_are_408(self):
        # On a server of their own: no other test is to be held up by less.
        with harness.Server("--memory", "--request-timeout-ms", "500") as server:
            for request in ("GET / HTT", self.post("Content-Length: 10", "12345")):
                with self.subTest(request), server.raw() as client:
                    client.write(request)
                    self.assertEqual(client.read_response()[0], 408)
            self.assertEqual(server.stop(), 0)

    def test_head_has_no_body(self):
        with self.server.raw() as client:
            client.write("HEAD /demo/framing HTTP/1.1\r\nHost: h\r\n\r\n"
                         "HEAD /demo/none HTTP/1.1\r\nHost: h\r\n\r\n")
            self.assertIn("HTTP/1.1 200", client.read_to("\r\n\r\n"))
            self.assertIn("HTTP/1.1 404", client.read_to("\r\n\r\n"))
            client.end()
            self.assertEqual(client.read_all(), b"")


class Reading(Served):
    flags = ("--read-bytes-max", "64KiB", "--hot-bytes-max", "1MiB")

    def test_large_streams_come_in_pages_and_compressed_when_asked(self):
        self.put("/demo/large")
        data = b"".join(b"line %07d\n" % i for i in range(40000))
        for at in range(0, len(data), 100_000):
            self.assertEqual(self.server.append("/demo/large", data[at:at + 100_000],
                                                "text/plain")[0], 204)
        self.assertEqual(self.server.read_all("/demo/large"), data)
        status, headers, body = self.server.ask("GET", "/demo/large?offset=-1",
                                                headers={"Accept-Encoding": "gzip"})
        self.assertEqual((status, headers["Content-Encoding"]), (200, "gzip"))
        self.assertEqual(gzip.decompress(body), data[:64 << 10])

    def test_etag_is_good_until_something_changes(self):
        self.put("/demo/etag", "one")
        _, headers, _ = self.server.ask("GET", "/demo/etag?offset=-1")
        asking = {"If-None-Match": headers["ETag"]}
        self.assertEqual(self.server.ask("GET", "/demo/etag?offset=-1", headers=asking)[0], 304)
        self.server.append("/demo/etag", "two", "text/plain")
        self.assertEqual(self.server.ask("GET", "/demo/etag?offset=-1", headers=asking)[0], 200)

    def test_json_is_kept_as_its_source_text(self):
        self.put("/demo/json", content_type="application/json")
        self.server.append("/demo/json", '[{"a": 1.0}, 12345678901234567890]', "application/json")
        self.server.append("/demo/json", "null", "application/json")
        _, headers, body = self.server.ask("GET", "/demo/json")
        self.assertEqual(headers["Content-Type"], "application/json")
        self.assertEqual(json.loads(body), [{"a": 1.0}, 12345678901234567890, None])
        self.assertIn(b"1.0", body)
        _, headers, body = self.server.ask("GET", "/demo/json",
                                           headers={"Accept": "application/x-ndjson"})
        self.assertEqual([json.loads(line) for line in body.splitlines()],
                         [{"a": 1.0}, 12345678901234567890, None])

    def test_cors_headers_stand_on_every_answer(self):
        for method, target in (("GET", "/demo/none"), ("OPTIONS", "/demo/none"),
                               ("PUT", "/demo/cors"), ("GET", "/demo/cors"), ("GET", "/%")):
            _, headers, _ = self.server.ask(method, target)
            self.assertEqual(headers["Access-Control-Allow-Origin"], "*", (method, target))
            self.assertEqual(headers["X-Content-Type-Options"], "nosniff")


class Live(Served):
    flags = ("--sse-heartbeat-ms", "200", "--sse-rotation-ms", "3000")

    def subscribe(self, target):
        client = self.server.raw()
        client.write("GET %s HTTP/1.1\r\nHost: h\r\n\r\n" % target)
        return client

    def test_long_poll_waits_for_data_or_its_timeout(self):
        self.put("/demo/poll")
        status, headers, _ = self.server.ask("GET", "/demo/poll?live=long-poll&offset=now")
        self.assertEqual(status, 204)
        self.assertEqual(headers["Stream-Up-To-Date"], "true")
        with self.subscribe("/demo/poll?live=long-poll&offset=now") as client:
            # Asked first, answered first: the append comes while the poll waits, or before it,
            # and then the poll times out. Ask again until it is the former.
            for _ in range(1000):
                self.server.append("/demo/poll", "x", "text/plain")
                status, _, body = client.read_response()
                if status == 200:
                    break
                client.write("GET /demo/poll?live=long-poll&offset=now HTTP/1.1\r\nHost: h\r\n\r\n")
            self.assertEqual((status, body), (200, b"x"))

    def test_subscribers_see_appends_heartbeats_rotation_and_resume(self):
        self.put("/demo/live", "one")
        with self.subscribe("/demo/live?live=sse&offset=-1") as client:
            self.assertIn("data:one\n", client.read_to("}\n"))
            self.server.append("/demo/live", "two", "text/plain")
            self.assertIn("data:two\n", client.read_to("}\n"))
            self.assertIn(":\n\n", client.read_to(":\n\n"))
            rest = client.read_to("0\r\n\r\n")
            self.assertIn("event: control", rest)
            offset = rest.split('"streamNextOffset":"')[1].split('"')[0]
        self.server.append("/demo/live", "three", "text/plain")
        with self.subscribe("/demo/live?live=sse&offset=" + offset) as client:
            self.assertIn("data:three\n", client.read_to("}\n"))

    def test_last_event_id_resumes(self):
        self.put("/demo/resume", "one")
        _, headers, _ = self.server.ask("HEAD", "/demo/resume")
        self.server.append("/demo/resume", "two", "text/plain")
        with self.server.raw() as client:
            client.write("GET /demo/resume?live=sse&offset=-1 HTTP/1.1\r\nHost: h\r\n"
                         "Last-Event-ID: %s\r\n\r\n" % headers["Stream-Next-Offset"])
            frame = client.read_to("}\n")
            self.assertIn("data:two\n", frame)
            self.assertNotIn("data:one", frame)

    def test_closing_reaches_subscribers_with_the_last_data(self):
        self.put("/demo/closing")
        with self.subscribe("/demo/closing?live=sse&offset=-1") as client:
            client.read_to("}\n")
            self.server.append("/demo/closing", "end", "text/plain", Stream_Closed="true")
            text = client.read_to("0\r\n\r\n")
            self.assertIn("data:end\n", text)
            self.assertIn('"streamClosed":true', text)

    def test_many_subscribers_of_one_stream(self):
        self.put("/demo/fan")
        clients = [self.subscribe("/demo/fan?live=sse&offset=now") for _ in range(100)]
        for client in clients:
            client.read_to("}\n")
        self.server.append("/demo/fan", "hello", "text/plain")
        for client in clients:
            self.assertIn("data:hello\n", client.read_to("}\n"))
            client.socket.close()


if __name__ == "__main__":
    harness.main()
