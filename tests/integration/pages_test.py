#!/usr/bin/env python3
"""Pages that a real ursulad keeps encoded: who reads them again gets what the first one got, and never
what isn't so any more."""
import gzip
import json
import re
import unittest

import harness

TEXT, JSON, BINARY = "text/plain", "application/json", "application/octet-stream"
LINES = {"Accept": "application/x-ndjson"}
GZIP, ZSTD = {"Accept-Encoding": "gzip"}, {"Accept-Encoding": "zstd"}
# What tells one answer to a request from the next.
OF_THE_ANSWER = {"date", "x-request-id"}


def offset(number):
    return "%016d_%016d" % (0, number)


def content(content_type, size, salt="x"):
    """(the body that is appended, what a read of all gives)"""
    if content_type == JSON:
        values = [{"n": n, "of": salt} for n in range(size // 20)]
        return json.dumps(values).encode(), values
    data = "".join("%s %d é\r\n" % (salt, n) for n in range(size // 8)).encode()
    return data, data


class Pages(unittest.TestCase):
    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.server = harness.Server("--memory", "--core-count", "1", "--read-bytes-max", "64KiB",
                                    "--long-poll-timeout-ms", "200", *cls.flags, admin=True)
        cls.admin = cls.server.admin_port()

    @classmethod
    def tearDownClass(cls):
        with cls.server:
            assert cls.server.stop() == 0

    def setUp(self):
        self.path = "/v1/stream/" + self.id().rsplit(".", 1)[1]

    def put(self, content_type, body, path=None, **more):
        headers = {"Content-Type": content_type, **{k.replace("_", "-"): v for k, v in more.items()}}
        status, headers, text = self.server.ask("PUT", path or self.path, body, headers)
        self.assertEqual(status, 201, text)
        return headers

    def get(self, headers=None, query="?offset=-1", path=None):
        """(status, headers without those of the answer, body)"""
        status, told, body = self.server.ask("GET", (path or self.path) + query, None, headers or {})
        return status, {k.lower(): v for k, v in told.items() if k.lower() not in OF_THE_ANSWER}, body

    def hits(self):
        return self.server.metric("ursula_kept_pages_hits_total")

    def again(self, headers=None, query="?offset=-1", times=4):
        """The one answer to all of some equal requests, the last of which met a kept page."""
        answers = [self.get(headers, query) for _ in range(times - 1)]
        before = self.hits()
        answers.append(self.get(headers, query))
        for answer in answers:
            self.assertEqual(answer, answers[0])
        self.assertEqual(self.hits() - before, self.expected_hits)
        return answers[0]

    expected_hits = 1


class Forms(Pages):
    def test_each_type_and_coding(self):
        for content_type in (TEXT, JSON, BINARY):
            body, whole = content(content_type, 40_000)
            path = self.path
            self.path += content_type.replace("/", "-")
            self.put(content_type, body)
            for accept in ({}, LINES):
                for coding in ({}, GZIP, ZSTD):
                    with self.subTest(content_type, accept=accept, coding=coding):
                        status, headers, got = self.again({**accept, **coding})
                        self.assertEqual(status, 200)
                        self.assertEqual(headers["stream-up-to-date"], "true")
                        self.assertEqual(headers.get("content-encoding", ""),
                                         coding.get("Accept-Encoding", ""))
                        self.assertEqual("-" + headers.get("content-encoding", "p") in headers["etag"],
                                         bool(coding))
                        if coding == ZSTD:
                            self.assertEqual(got[:4], b"\x28\xb5\x2f\xfd")
                            continue
                        if coding == GZIP:
                            got = gzip.decompress(got)
                        if content_type == JSON:
                            lines = accept == LINES
                            got = [json.loads(line) for line in got.splitlines()] if lines \
                                else json.loads(got)
                        self.assertEqual(got, whole)
            self.path = path

    def test_offsets_of_state_events_are_a_form_of_their_own(self):
        events = [{"type": "t", "key": str(n), "value": n, "headers": {"operation": "insert"}}
                  for n in range(400)]
        self.put(JSON, json.dumps(events).encode())
        _, plain, without = self.again()
        _, other, with_offsets = self.again(query="?offset=-1&state_offsets=true")
        self.assertEqual(json.loads(without), events)
        self.assertTrue(all("offset" in event["headers"] for event in json.loads(with_offsets)))
        self.assertNotEqual(plain["etag"], other["etag"])

    def test_events(self):
        for content_type in (TEXT, JSON, BINARY):
            with self.subTest(content_type):
                path = "%s-%s" % (self.path, content_type.replace("/", "-"))
                body, _ = content(content_type, 150_000)
                self.put(content_type, body, path, Stream_Closed="true")
                told = []
                for _ in range(4):
                    before = self.hits()
                    status, _, events = self.get({}, "?offset=-1&live=sse", path)
                    self.assertEqual(status, 200)
                    told.append(re.sub(rb'"streamCursor":"\d+"', b"", events))
                    self.assertGreater(events.count(b"event: data\n"), 1)
                self.assertEqual(set(told), {told[0]})
                # Not of those that held back a line's or a character's end from the one before.
                if self.expected_hits:
                    self.assertGreater(self.hits(), before)
                else:
                    self.assertEqual(self.hits(), before)

    def test_pages_of_a_long_stream(self):
        body, _ = content(TEXT, 300_000)
        self.put(TEXT, None)
        for at in range(0, len(body), 1000):
            self.server.append(self.path, body[at:at + 1000], TEXT)
        for coding in ({}, GZIP):
            at, data = "-1", b""
            while True:
                _, headers, page = self.again(coding, "?offset=" + at)
                data += gzip.decompress(page) if coding else page
                at = headers["stream-next-offset"]
                if "stream-up-to-date" in headers:
                    break
                self.assertIn("max-age", headers["cache-control"])
            self.assertEqual(data, body)

    def test_long_poll(self):
        self.put(TEXT, content(TEXT, 40_000)[0])
        self.assertEqual(self.again({}, "?offset=-1&live=long-poll&cursor=1")[0], 200)


class Unkept(Forms):
    """The same, of a server that keeps none."""
    flags = ("--kept-pages-bytes-max", "0")
    expected_hits = 0

    def test_nothing_is_kept(self):
        self.assertEqual(self.server.metric("ursula_kept_pages_bytes"), 0)


class Truth(Pages):
    def test_a_deleted_stream_and_the_next_under_its_name(self):
        for coding in ({}, GZIP):
            for content_type in (TEXT, JSON):
                with self.subTest(content_type, coding=coding):
                    old, _ = content(content_type, 20_000, "old")
                    new, _ = content(content_type, 20_000, "new")
                    self.put(content_type, old)
                    before = self.again(coding)
                    self.assertEqual(self.server.ask("DELETE", self.path)[0], 204)
                    self.assertEqual(self.get(coding)[0], 404)
                    self.put(content_type, new)
                    after = self.again(coding)
                    self.assertEqual(before[1]["stream-next-offset"], after[1]["stream-next-offset"])
                    self.assertNotEqual(before[1]["stream-incarnation"], after[1]["stream-incarnation"])
                    self.assertNotEqual(before[1]["etag"], after[1]["etag"])
                    body = gzip.decompress(after[2]) if coding else after[2]
                    self.assertIn(b"new", body)
                    self.assertNotIn(b"old", body)
                    self.assertEqual(self.server.ask("DELETE", self.path)[0], 204)

    def test_an_expired_stream(self):
        self.put(TEXT, content(TEXT, 20_000)[0], Stream_TTL="1")
        self.again()
        harness.wait_until(lambda: self.server.ask("HEAD", self.path)[0] == 404)
        self.assertEqual(self.get()[0], 404)

    def test_a_tail_that_moves(self):
        body, _ = content(TEXT, 20_000)
        self.put(TEXT, body)
        for n in range(3):
            answer = self.again(GZIP)
            self.assertEqual(gzip.decompress(answer[2]), body)
            self.assertEqual(self.server.append(self.path, b"more", TEXT)[0], 204)
            body += b"more"
        self.assertEqual(gzip.decompress(self.get(GZIP)[2]), body)

    def test_a_close_without_data(self):
        body, _ = content(TEXT, 20_000)
        self.put(TEXT, body)
        for headers in ({}, GZIP):
            self.assertNotIn("stream-closed", self.again(headers)[1])
        events = self.server.raw()
        self.server.append(self.path, None, TEXT, Stream_Closed="true")
        for headers in ({}, GZIP):
            answer = self.again(headers)
            self.assertEqual(answer[1]["stream-closed"], "true")
            self.assertIn(".c", answer[1]["etag"])
        with events:
            events.write("GET %s?offset=-1&live=sse HTTP/1.0\r\n\r\n" % self.path)
            self.assertIn(b'"streamClosed":true', events.read_all())

    def test_conditions_are_of_now(self):
        self.put(TEXT, content(TEXT, 20_000)[0])
        tag = self.again(GZIP)[1]["etag"]
        self.assertEqual(self.get({**GZIP, "If-None-Match": tag})[0], 304)
        self.assertEqual(self.get({**GZIP, "If-Match": tag})[0], 200)
        self.server.append(self.path, b"more", TEXT)
        self.assertEqual(self.get({**GZIP, "If-None-Match": tag})[0], 200)
        self.assertEqual(self.get({**GZIP, "If-Match": tag})[0], 412)
        self.assertEqual(self.get({"Stream-Incarnation": "0" * 16})[0], 412)

    def test_an_offset_inside_an_append(self):
        """It is led to where that begins, whatever was kept of who knew better."""
        body = b"x" * 200_000
        self.put(TEXT, b"first ")
        self.server.append(self.path, body, TEXT)
        inside = offset(6 + 65_536)
        whole = self.again({}, "?offset=" + inside)
        self.assertEqual(whole[1]["stream-next-offset"], self.get({}, "?offset=" + offset(6))[1][
            "stream-next-offset"])
        rest = self.again({}, "?offset=" + inside + ".")
        self.assertNotEqual(rest[1]["etag"], whole[1]["etag"])
        self.assertEqual(self.again({}, "?offset=" + inside)[1]["etag"], whole[1]["etag"])

    def test_forks(self):
        # Together they are less than a page, which ends behind an append where it can.
        self.put(TEXT, content(TEXT, 10_000, "shared")[0])
        cut = self.again()[1]["stream-next-offset"]
        self.server.append(self.path, content(TEXT, 10_000, "source")[0], TEXT)
        fork = self.path + "-fork"
        self.put(TEXT, content(TEXT, 10_000, "fork")[0], fork, Stream_Forked_From=self.path,
                 Stream_Fork_Offset=cut)
        source = self.again()[2]
        self.path, path = fork, self.path
        forked = self.again()[2]
        self.assertIn(b"source", source)
        self.assertNotIn(b"source", forked)
        self.assertIn(b"fork", forked)
        self.assertEqual(self.server.ask("DELETE", path)[0], 204)
        self.assertEqual(self.get({}, path=path)[0], 410)
        self.assertEqual(self.again()[2], forked)


class Budget(Pages):
    flags = ("--kept-pages-bytes-max", "512KiB")

    def test_it_is_kept(self):
        body, _ = content(JSON, 60_000)
        for n in range(40):
            self.put(JSON, body, "%s-%d" % (self.path, n))
            for _ in range(2):
                self.assertEqual(self.get({}, path="%s-%d" % (self.path, n))[0], 200)
            self.assertLessEqual(self.server.metric("ursula_kept_pages_bytes"), 512 << 10)
        self.assertGreater(self.server.metric("ursula_kept_pages_evictions_total"), 20)
        self.assertGreater(self.server.metric("ursula_kept_pages_bytes"), 256 << 10)


if __name__ == "__main__":
    harness.main()
