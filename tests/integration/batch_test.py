#!/usr/bin/env python3
"""Many appends in one request, to a real ursulad and to a cluster."""
import base64
import json
import socket
import threading
import unittest

import harness
import nodes

ALL = (1, 2, 3)
LINES = {"Content-Type": "application/x-ndjson"}
PATHS = {"/v1/stream/": "/v1/stream/__batch", "/demo/": "/demo/append-batch"}


def line(stream, **fields):
    return json.dumps({"stream": stream, **fields}) + "\n"


def text(stream, data, **fields):
    return line(stream, content_type="text/plain", data=data, **fields)


def answers(body):
    return [json.loads(one) for one in body.decode().splitlines()]


class Served(unittest.TestCase):
    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.server = harness.Server("--body-bytes-max", "4MiB", "--core-count", "2", *cls.flags,
                                    admin=True)
        cls.server.ask("PUT", "/demo")

    @classmethod
    def tearDownClass(cls):
        with cls.server:
            assert cls.server.stop() == 0

    def put(self, target, content_type="text/plain", **headers):
        status, _, body = self.server.ask("PUT", target, None,
                                          {"Content-Type": content_type, **headers})
        self.assertEqual(status, 201, body)

    def batch(self, *lines, path="/v1/stream/__batch"):
        body = b"".join(one if isinstance(one, bytes) else one.encode() for one in lines)
        status, headers, said = self.server.ask("POST", path, body, LINES)
        self.assertEqual(status, 200, said)
        self.assertEqual(headers["Content-Type"], "application/x-ndjson")
        self.assertEqual(headers["Cache-Control"], "no-store")
        told = answers(said)
        self.assertEqual([one["index"] for one in told], list(range(len(told))))
        return told


class Batches(Served):
    def test_appends_to_many_streams_land_in_the_order_of_the_request(self):
        for prefix, path in PATHS.items():
            names = ["many-%d" % i for i in range(20)]
            for name in names:
                self.put(prefix + name)
            told = self.batch(*(text(name, "%d," % i) for i in range(30) for name in names),
                              path=path)
            self.assertEqual({(one["status"], one["outcome"]) for one in told}, {(204, "applied")})
            for name in names:
                self.assertEqual(self.server.read_all(prefix + name).decode(),
                                 "".join("%d," % i for i in range(30)))

    def test_a_streams_own_affinity_is_named_as_the_listing_names_it(self):
        self.put("/demo/group/one")
        told = self.batch(text("group/one", "x"), path="/demo/append-batch")
        self.assertEqual(told[0]["outcome"], "applied")
        self.assertEqual(self.server.read_all("/demo/group/one"), b"x")

    def test_content_of_every_kind_is_stored_as_it_would_be_alone(self):
        self.put("/v1/stream/raw", "application/octet-stream")
        self.put("/v1/stream/js", "application/json")
        every = bytes(range(256)) + b"\n{}\n"
        told = self.batch(
            line("raw", content_type="application/octet-stream", bytes=len(every)), every, b"\n",
            line("raw", content_type="application/octet-stream",
                 data_base64=base64.b64encode(every).decode()),
            line("raw", content_type="application/octet-stream", data="\u00e9\"\n"),
            b'{"stream":"js","json":{"big": 123456789012345678901234567890, "a": 1, "a": 2}}\n',
            line("js", json=[1, [2]]), line("js", content_type="application/json", data="[3]"))
        self.assertEqual({one["outcome"] for one in told}, {"applied"})
        self.assertEqual(self.server.read_all("/v1/stream/raw"),
                         every + every + "\u00e9\"\n".encode())
        self.assertEqual(self.server.read_all("/v1/stream/js"),
                         b'[{"big": 123456789012345678901234567890, "a": 1, "a": 2},1,[2],3]')

    # What each answers is compared with what the same append alone answers, to a stream alike.
    def test_each_item_is_answered_as_the_append_alone(self):
        named = {"content_type": "Content-Type", "producer_id": "Producer-Id",
                 "producer_epoch": "Producer-Epoch", "producer_seq": "Producer-Seq",
                 "seq": "Stream-Seq", "close": "Stream-Closed", "if_match": "If-Match",
                 "if_none_match": "If-None-Match"}
        told_as = {"next_offset": "Stream-Next-Offset", "closed": "Stream-Closed",
                   "producer_epoch": "Producer-Epoch", "producer_seq": "Producer-Seq",
                   "producer_expected_seq": "Producer-Expected-Seq",
                   "producer_received_seq": "Producer-Received-Seq",
                   "outcome": "Stream-Outcome"}
        by = {"producer_id": "p", "producer_epoch": 2}
        steps = [
            {"data": "a"}, {"data": "a", "content_type": "application/json"},
            {"data": "b", **by, "producer_seq": 0}, {"data": "b", **by, "producer_seq": 0},
            {"data": "b", **by, "producer_seq": 4}, {"data": "c", **by, "producer_seq": 1},
            {"data": "c", **by, "producer_epoch": 1, "producer_seq": 0},
            {"data": "c", **by, "producer_epoch": 3, "producer_seq": 5},
            {"data": "d", "seq": "b"}, {"data": "d", "seq": "a"}, {"data": "d", "seq": ""},
            {"data": "e", "if_match": '"0000000000000000_0000000000000004"'},
            {"data": "e", "if_match": '"0000000000000000_0000000000000004"'},
            {"data": "e", "if_none_match": "*"}, {"data": "e", "if_match": "nonsense"},
            {"data": ""}, {"data": "f", "producer_id": "p"}, {"data": "f", "close": True},
            {"data": "g"}, {"close": True}]
        self.put("/v1/stream/alone")
        self.put("/v1/stream/batched")
        told = self.batch(*(line("batched", **{"content_type": "text/plain", **step})
                            for step in steps))
        self.assertEqual(len(told), len(steps))
        for step, item in zip(steps, told):
            fields = {"content_type": "text/plain", **step}
            headers = {named[key]: str(value).lower() if key == "close" else str(value)
                       for key, value in fields.items() if key != "data"}
            status, got, body = self.server.ask("POST", "/v1/stream/alone", step.get("data", ""),
                                                headers)
            self.assertEqual(item["status"], status, (step, item))
            for field, header in told_as.items():
                alone = got[header] if header in got else None
                if field == "outcome" and alone is None:
                    alone = "refused"
                value = item.get(field)
                value = "true" if value is True else value
                self.assertEqual(None if value is None else str(value), alone, (step, field, item))
            error = json.loads(body)["error"] if body else None
            self.assertEqual(item.get("error"), error, step)
            # Tags and incarnations are of the stream.
            self.assertEqual("etag" in item, "ETag" in got)
            self.assertEqual("incarnation" in item, "Stream-Incarnation" in got)
        self.assertEqual(self.server.read_all("/v1/stream/batched"),
                         self.server.read_all("/v1/stream/alone"))

    def test_nothing_is_created_and_each_item_stands_for_itself(self):
        self.put("/v1/stream/there")
        told = self.batch(text("there", "1"), text("missing", "x"), text("a//b", "x"),
                          text("__ds/x", "x"), "{}\n", text("there", "2"))
        self.assertEqual([(one["status"], one.get("error", {}).get("code")) for one in told],
                         [(204, None), (404, "STREAM_NOT_FOUND"), (400, "INVALID_STREAM_NAME"),
                          (404, "RESERVED_NAME"), (400, "INVALID_ITEM"), (204, None)])
        self.assertEqual(self.server.read_all("/v1/stream/there"), b"12")
        self.assertEqual(self.server.ask("GET", "/v1/stream/missing")[0], 404)
        status, _, body = self.server.ask("POST", "/nobucket/append-batch", text("s", "x"), LINES)
        self.assertEqual(status, 200)
        self.assertEqual(answers(body)[0]["error"]["code"], "BUCKET_NOT_FOUND")

    def test_forks_take_appends_wherever_their_state_is(self):
        for i in range(6):
            self.put("/v1/stream/src-%d" % i)
            self.put("/v1/stream/fork-%d" % i,
                     **{"Stream-Forked-From": "/v1/stream/src-%d" % i})
        told = self.batch(*(text(name % i, str(n)) for n in range(5) for i in range(6)
                            for name in ("src-%d", "fork-%d")))
        self.assertEqual({one["outcome"] for one in told}, {"applied"})
        for i in range(6):
            self.assertEqual(self.server.read_all("/v1/stream/fork-%d" % i), b"01234")

    def test_a_whole_request_is_refused_only_where_nothing_was_judged(self):
        self.put("/v1/stream/kept")
        for body, headers, status, code in (
                ("", LINES, 400, "EMPTY_BATCH"), ("\n\n", LINES, 400, "EMPTY_BATCH"),
                ("[]\n" + text("kept", "x"), LINES, 400, "MALFORMED_BATCH"),
                (text("kept", "x"), {}, 400, "CONTENT_TYPE_REQUIRED"),
                (text("kept", "x"), {"Content-Type": "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
                (text("kept", "x"), {**LINES, "Producer-Id": "p"}, 400, "NOT_SUPPORTED"),
                (text("kept", "x"), {**LINES, "If-Match": "*"}, 400, "NOT_SUPPORTED")):
            got, _, said = self.server.ask("POST", "/v1/stream/__batch", body, headers)
            self.assertEqual((got, json.loads(said)["error"]["code"]), (status, code))
        status, headers, _ = self.server.ask("GET", "/v1/stream/__batch")
        self.assertEqual((status, headers["Allow"]), (405, "POST, OPTIONS"))
        self.assertEqual(self.server.ask("PUT", "/v1/stream/__batch")[0], 400)
        self.assertEqual(self.server.ask("OPTIONS", "/demo/append-batch")[0], 204)
        self.assertEqual(self.server.read_all("/v1/stream/kept"), b"")

    def test_what_cannot_be_taken_apart_ends_the_batch_and_is_told(self):
        self.put("/v1/stream/broken")
        for wrong in ("nonsense\n", "{\n", line("broken", content_type="text/plain", byte=5) + "abcde\n",
                      line("broken", content_type="text/plain", bytes=5) + "ab",
                      line("broken", content_type="text/plain", bytes=1) + "ab\n"):
            told = self.batch(text("broken", "+"), wrong, text("broken", "-"))
            self.assertEqual([one.get("rest") for one in told], [None, True])
            self.assertEqual(told[1]["error"]["code"], "MALFORMED_BATCH")
        self.assertEqual(self.server.read_all("/v1/stream/broken"), b"+++++")

    def test_a_request_without_its_end_applies_nothing(self):
        self.put("/v1/stream/cut")
        body = text("cut", "x").encode()
        with self.server.raw() as client:
            client.write("POST /v1/stream/__batch HTTP/1.1\r\nHost: h\r\nContent-Type: "
                         "application/x-ndjson\r\nContent-Length: %d\r\n\r\n" % (len(body) + 1))
            client.write(body)
            client.end()
            self.assertEqual(client.read_response()[0], 400)
        self.assertEqual(self.server.read_all("/v1/stream/cut"), b"")

    def test_many_items_are_answered_piece_by_piece(self):
        self.put("/v1/stream/long")
        count = 9999
        told = self.batch(*([text("long", "x")] * count))
        self.assertEqual(len(told), count)
        self.assertEqual(told[-1]["next_offset"], "0000000000000000_%016d" % count)
        told = self.batch(*([text("long", "x")] * 10002))
        self.assertEqual((len(told), told[-1]["rest"], told[-1]["error"]["code"]),
                         (10001, True, "TOO_MANY_ITEMS"))
        self.assertEqual(len(self.server.read_all("/v1/stream/long")), count + 10000)
        with self.server.raw() as client:  # Without chunks.
            body = text("long", "x") * 600
            client.write("POST /v1/stream/__batch HTTP/1.0\r\nContent-Type: application/x-ndjson\r\n"
                         "Content-Length: %d\r\n\r\n%s" % (len(body), body))
            head, _, said = client.read_all().partition(b"\r\n\r\n")
            self.assertIn(b" 200 ", head)
            self.assertEqual(len(answers(said)), 600)

    def test_appends_are_counted_as_they_are_alone(self):
        self.put("/v1/stream/counted")
        before = self.server.metric("ursula_appends_total")
        self.batch(*([text("counted", "x")] * 37))
        harness.wait_until(lambda: self.server.metric("ursula_appends_total") >= before + 37)


class Unread(Served):
    flags = ("--batch-items-max", "40000")

    def test_a_reader_of_nothing_is_bounded_and_the_rest_of_its_batch_not_begun(self):
        self.put("/v1/stream/unread")
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", self.server.port))
        count = 40000  # Some 9 MB of answers: more than the kernel's buffers take.
        body = text("unread", "x") * count
        client.sendall(("POST /v1/stream/__batch HTTP/1.1\r\nHost: h\r\nContent-Type: "
                        "application/x-ndjson\r\nContent-Length: %d\r\n\r\n%s"
                        % (len(body), body)).encode())
        # Some are appended while nobody reads; the others wait for their lines' room.
        harness.wait_until(lambda: len(self.server.read_all("/v1/stream/unread")) > 0)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        harness.wait_until(lambda: self.server.metric("ursula_http_requests_open") == 0)
        # What was begun has ended, slice by slice.
        appended = len(self.server.read_all("/v1/stream/unread"))
        self.assertGreater(appended, 0)
        self.assertLess(appended, count)
        self.assertEqual(appended % 256, 0)


class Durable(unittest.TestCase):
    def test_what_was_told_is_there_after_a_kill(self):
        with harness.Server() as server:
            for i in range(8):
                server.ask("PUT", "/v1/stream/s%d" % i, None, {"Content-Type": "text/plain"})
            body = "".join(text("s%d" % i, "%d," % n) for n in range(20) for i in range(8))
            status, _, said = server.ask("POST", "/v1/stream/__batch", body, LINES)
            self.assertEqual({one["outcome"] for one in answers(said)}, {"applied"})
            server.kill()
            server.start()
            for i in range(8):
                self.assertEqual(server.read_all("/v1/stream/s%d" % i).decode(),
                                 "".join("%d," % n for n in range(20)))

    def test_another_limit_of_items_is_an_option(self):
        with harness.Server("--batch-items-max", "3") as server:
            server.ask("PUT", "/v1/stream/s", None, {"Content-Type": "text/plain"})
            _, _, said = server.ask("POST", "/v1/stream/__batch", text("s", "x") * 5, LINES)
            told = answers(said)
            self.assertEqual([one["status"] for one in told], [204, 204, 204, 413])
            self.assertEqual(server.read_all("/v1/stream/s"), b"xxx")


STREAMS = 12
ROUNDS = 8  # Of an append to each stream in one batch.


class Producer(threading.Thread):
    """Sends batches to whichever node answers, and each again, whole, until all of its items are
    there: applied or duplicates."""

    def __init__(self, cluster, at):
        super().__init__(daemon=True)
        self.cluster, self.at = cluster, at
        self.sequence = 0  # Of the next batch's first round.
        self.outcomes = {}
        self.wrong = None
        self.ending = threading.Event()

    def body(self):
        return "".join(
            text("b%d" % i, "%06d\n" % n, producer_id="p", producer_epoch=0, producer_seq=n)
            for n in range(self.sequence, self.sequence + ROUNDS) for i in range(STREAMS))

    def run(self):
        while not self.ending.is_set() and self.wrong is None:
            if self.send():
                self.sequence += ROUNDS
            else:
                self.at += 1
                self.ending.wait(0.02)

    def send(self):
        node = ALL[self.at % len(ALL)]
        try:
            status, _, said = self.cluster[node].ask("POST", "/v1/stream/__batch", self.body(),
                                                     LINES)
            told = answers(said)
        except (OSError, ValueError, harness.http.client.HTTPException):
            return False  # Cut off: of what isn't told nothing is known.
        if status != 200 or len(told) != ROUNDS * STREAMS:
            return False
        for item in told:
            outcome = (item["status"], item["outcome"], "retry_after" in item)
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
            known = outcome[1:] in (("applied", False), ("duplicate", False), ("unknown", False),
                                    ("not-proposed", True))
            # Behind one that came to nothing a producer's sequence has a gap.
            gap = item.get("error", {}).get("code") == "PRODUCER_SEQUENCE_GAP"
            if not known and not gap:
                self.wrong = "%r" % item
        return all(item["outcome"] in ("applied", "duplicate") for item in told)


class Clustered(unittest.TestCase):
    def setUp(self):
        self.cluster = nodes.Cluster()
        self.cluster.__enter__()
        self.addCleanup(lambda: self.cluster.__exit__(None))
        self.cluster.await_leaders()
        for i in range(STREAMS):
            status = self.cluster[1].ask("PUT", "/v1/stream/b%d" % i, None,
                                         {"Content-Type": "text/plain"})[0]
            self.assertEqual(status, 201)

    def check(self, least):
        for node in ALL:
            for i in range(STREAMS):
                lines = self.cluster[node].read_all("/v1/stream/b%d" % i).decode().split()
                self.assertEqual([int(one) for one in lines], list(range(len(lines))))
                self.assertGreaterEqual(len(lines), least)

    def test_a_batch_to_any_node_reaches_the_leaders_of_all_its_streams(self):
        for node in ALL:
            producer = Producer(self.cluster, node - 1)
            producer.sequence = (node - 1) * ROUNDS
            self.assertTrue(producer.send(), producer.outcomes)
            self.assertEqual(set(producer.outcomes), {(200, "applied", False)})
        self.check(3 * ROUNDS)

    def test_leaders_are_killed_in_the_middle_and_what_is_sent_again_lands_once(self):
        producer = Producer(self.cluster, 0)
        producer.start()
        for _ in range(4):
            before = producer.sequence
            harness.wait_until(lambda: producer.sequence > before + 3 * ROUNDS or producer.wrong)
            leader = self.cluster.leader()
            self.cluster[leader].kill()
            before = producer.sequence
            harness.wait_until(lambda: producer.sequence > before + 3 * ROUNDS or producer.wrong)
            self.cluster[leader].start()
            self.cluster.await_leaders()
        producer.ending.set()
        producer.join(harness.PATIENCE_S)
        self.assertIsNone(producer.wrong)
        self.check(producer.sequence)


if __name__ == "__main__":
    harness.main()
