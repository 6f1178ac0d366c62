#!/usr/bin/env python3
"""Conditional requests at a real ursulad: nothing happens but under its condition, and of two writers
that expect one tail exactly one gets there.

URSULA_RACE_ROUNDS says how many rounds they race (2000 if not given).
"""
import json
import os
import random
import unittest

import harness

ROUNDS = int(os.environ.get("URSULA_RACE_ROUNDS", "2000"))
TEXT = {"Content-Type": "text/plain"}
JSON = {"Content-Type": "application/json"}


def offset(number):
    return "%016d_%016d" % (0, number)


def producer(sequence, epoch=0, name="p"):
    return {"Producer-Id": name, "Producer-Epoch": str(epoch), "Producer-Seq": str(sequence)}


class Served(unittest.TestCase):
    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.server = harness.Server("--core-count", "2", "--raft-group-count", "8",
                                    "--long-poll-timeout-ms", "200", *cls.flags)
        cls.server.ask("PUT", "/demo")

    @classmethod
    def tearDownClass(cls):
        with cls.server:
            assert cls.server.stop() == 0

    def setUp(self):
        self.path = "/demo/" + self.id().rsplit(".", 1)[1]

    def ask(self, method, headers=None, body=None, query="", path=None):
        return self.server.ask(method, (path or self.path) + query, body, headers or {})

    def put(self, body="one", **more):
        status, headers, text = self.ask("PUT", {**TEXT, **more}, body)
        self.assertEqual(status, 201, text)
        return headers

    def post(self, body="x", **more):
        headers = {**TEXT, **{name.replace("_", "-"): value for name, value in more.items()}}
        return self.ask("POST", headers, body)

    def error(self, answer):
        return answer[0], json.loads(answer[2])["error"]["code"]

    def fails(self, answer):
        """A 412 that tells the state that there is."""
        self.assertEqual(self.error(answer), (412, "PRECONDITION_FAILED"))
        head = self.ask("HEAD")[1]
        for name in ("ETag", "Stream-Next-Offset", "Stream-Closed", "Stream-Incarnation"):
            self.assertEqual(answer[1][name], head[name], name)

    def content(self):
        return self.server.read_all(self.path)


class Writes(Served):
    flags = ("--read-bytes-max", "64KiB")

    def test_each_write_answers_the_state_after_it(self):
        tags = [self.put()["ETag"]]
        self.assertEqual(self.ask("PUT", TEXT)[1]["ETag"], tags[0])
        tags.append(self.post()[1]["ETag"])
        self.assertEqual(self.ask("HEAD")[1]["ETag"], tags[1])
        status, headers, _ = self.post("y", Stream_Closed="true", If_Match=tags[1])
        self.assertEqual(status, 204)
        tags.append(headers["ETag"])
        self.assertEqual(self.ask("HEAD")[1]["ETag"], tags[2])
        self.assertEqual(len(set(tags)), 3)
        self.assertNotIn(self.ask("GET")[1]["ETag"], tags)

    def test_an_append_is_stored_only_at_the_tail_expected(self):
        tag = self.put()["ETag"]
        for form in (tag, offset(3), '"%s"' % offset(3), '"x", %s, "y"' % offset(3)):
            self.assertEqual(self.post(form, If_Match=form)[0], 204)
            self.fails(self.post("late", If_Match=form))
            self.fails(self.post("weak", If_Match='W/"%s"' % offset(3)))
            self.ask("DELETE")
            self.put()
            self.fails(self.post("made again", If_Match=tag))
        for bad in ("3", "now", '"x', "W/x"):
            self.assertEqual(self.error(self.post("bad", If_Match=bad)),
                             (400, "INVALID_PRECONDITION"))
        self.assertEqual(self.content(), b"one")

    def test_what_was_read_to_the_end_counts_whatever_its_form(self):
        data = "".join("line %07d\n" % i for i in range(8000))
        self.put(data[:60_000])
        self.post(data[60_000:])
        forms = [({}, "?offset=" + offset(60_000)), ({"Accept-Encoding": "gzip"},
                                                     "?offset=" + offset(60_000))]
        for headers, query in forms:
            status, answer, _ = self.ask("GET", headers, query=query)
            self.assertEqual((status, answer["Stream-Up-To-Date"]), (200, "true"))
            self.assertEqual(self.post("!", If_Match=answer["ETag"])[0], 204)
            self.fails(self.post("late", If_Match=answer["ETag"]))
        page = self.ask("GET")[1]
        self.assertIsNone(page["Stream-Up-To-Date"])
        self.fails(self.post("page", If_Match=page["ETag"]))
        self.assertEqual(self.ask("GET", {"If-Match": page["ETag"]})[0], 200)
        self.assertEqual(len(self.content()), len(data) + 2)

    def test_if_none_match_of_a_write(self):
        tag = self.put()["ETag"]
        self.fails(self.post("same", If_None_Match='"x", W/' + tag))
        self.fails(self.post("there", If_None_Match="*"))
        self.assertEqual(self.post("", If_None_Match='"x"', Stream_Closed="true")[0], 204)
        self.fails(self.ask("DELETE", {"If-None-Match": "*"}))
        self.assertEqual(self.ask("DELETE", {"If-None-Match": tag})[0], 204)

    def test_put(self):
        self.assertEqual(self.error(self.ask("PUT", {**TEXT, "If-Match": "*"}, "a")),
                         (412, "PRECONDITION_FAILED"))
        self.assertEqual(self.ask("HEAD")[0], 404)
        tag = self.put(**{"If-None-Match": "*"})["ETag"]
        self.fails(self.ask("PUT", {**TEXT, "If-None-Match": "*"}, "a"))
        self.fails(self.ask("PUT", {**TEXT, "If-Match": '"x"'}, "a"))
        self.assertEqual(self.ask("PUT", {**TEXT, "If-Match": tag}, "a")[0], 200)
        # What would be refused anyway is refused as if there were no condition.
        other = {"Content-Type": "a/b", "If-None-Match": "*"}
        self.assertEqual(self.error(self.ask("PUT", other)), (409, "STREAM_CONFLICT"))

    def test_delete(self):
        tag = self.put()["ETag"]
        self.post()
        self.fails(self.ask("DELETE", {"If-Match": tag}))
        self.assertEqual(self.content(), b"onex")
        self.assertEqual(self.ask("DELETE", {"If-Match": "*"})[0], 204)
        self.assertEqual(self.error(self.ask("DELETE", {"If-Match": "*"})),
                         (404, "STREAM_NOT_FOUND"))

    def test_close(self):
        tag = self.put()["ETag"]
        self.post()
        self.fails(self.post("", Stream_Closed="true", If_Match=tag))
        self.fails(self.post("end", Stream_Closed="true", If_Match=offset(3)))
        self.assertIsNone(self.ask("HEAD")[1]["Stream-Closed"])
        status, headers, _ = self.post("end", Stream_Closed="true", If_Match=offset(4))
        self.assertEqual((status, headers["Stream-Closed"]), (204, "true"))
        # A closed stream is 409 whatever was expected of it.
        for condition in (tag, headers["ETag"], offset(7)):
            self.assertEqual(self.error(self.post(If_Match=condition)), (409, "STREAM_CLOSED"))

    def test_the_streams_own_refusals_come_first(self):
        nothing = {"If-Match": '"x"'}
        self.assertEqual(self.error(self.post(**nothing)), (404, "STREAM_NOT_FOUND"))
        self.put(**{"Stream-Seq": "5"})
        self.assertEqual(self.post("a", **producer(0, epoch=1))[0], 200)
        self.assertEqual(self.post("a", **producer(0, epoch=1), **nothing)[0], 204)
        for more, error in ((producer(0, epoch=0), (403, "PRODUCER_EPOCH_STALE")),
                            (producer(2, epoch=1), (409, "PRODUCER_SEQUENCE_GAP")),
                            (producer(1, epoch=2), (400, "PRODUCER_EPOCH_START")),
                            ({"Stream-Seq": "4"}, (409, "SEQUENCE_CONFLICT"))):
            self.assertEqual(self.error(self.post("b", **more, **nothing)), error)
        self.assertEqual(self.error(self.ask("POST", {"Content-Type": "a/b", **nothing}, "b")),
                         (409, "CONTENT_TYPE_MISMATCH"))
        self.fails(self.post("b", **producer(1, epoch=1), **nothing))
        self.assertEqual(self.content(), b"onea")

    def test_a_412_uses_up_no_sequence(self):
        self.put()
        for number in range(5):
            more = {**producer(number), "Stream-Seq": "%03d" % number}
            self.fails(self.post("no", **more, If_Match='"x"'))
            at = self.ask("HEAD")[1]["Stream-Next-Offset"]
            status, headers, _ = self.post(str(number), **more, If_Match=at)
            self.assertEqual((status, headers["Producer-Seq"]), (200, str(number)))
            # A retry of what was stored is a duplicate, its condition long untrue.
            self.assertEqual(self.post(str(number), **more, If_Match=at)[0], 204)
        self.assertEqual(self.content(), b"one01234")

    def test_json_arrays_are_all_or_nothing(self):
        self.ask("PUT", JSON, "[1]")
        for number in range(3):
            tail = self.ask("HEAD")[1]["Stream-Next-Offset"]
            body = json.dumps([number, {"a": [number]}])
            self.assertEqual(self.ask("POST", {**JSON, "If-Match": tail}, body)[0], 204)
            self.fails(self.ask("POST", {**JSON, "If-Match": tail}, body))
            lines = self.ask("GET", {"Accept": "application/x-ndjson"})
            self.fails(self.ask("POST", {**JSON, "If-None-Match": lines[1]["ETag"]}, body))
        self.assertEqual(len(json.loads(self.ask("GET")[2])), 7)

    def test_bad_json_yields_to_the_streams_own_answers(self):
        self.ask("PUT", {**JSON, "Stream-Seq": "5"}, "[1]")

        def post(body, **more):
            return self.ask("POST", {**JSON, **more}, body)

        self.assertEqual(post("2", **producer(0, epoch=1))[0], 200)
        for bad, code in (("{", "INVALID_JSON"), ("[]", "EMPTY_JSON_ARRAY"),
                          ("[" * 600, "JSON_TOO_DEEP")):
            self.assertEqual(post(bad, **producer(0, epoch=1))[0], 204, "a duplicate")
            for more, error in ((producer(0, epoch=0), (403, "PRODUCER_EPOCH_STALE")),
                                (producer(2, epoch=1), (409, "PRODUCER_SEQUENCE_GAP")),
                                (producer(1, epoch=2), (400, "PRODUCER_EPOCH_START")),
                                ({"Stream-Seq": "4"}, (409, "SEQUENCE_CONFLICT")),
                                ({"Stream-Seq": "6", "If-Match": '"x"'}, (400, code)),
                                (producer(1, epoch=1), (400, code)),
                                ({"Stream-Closed": "true"}, (400, code)),
                                ({}, (400, code))):
                self.assertEqual(self.error(post(bad, **more)), error)
        # None of them used up a sequence, closed the stream or stored anything.
        closing = {**producer(1, epoch=1), "Stream-Seq": "6", "Stream-Closed": "true"}
        self.assertEqual(post("3", **closing)[0], 200)
        self.assertEqual(post("{", **closing)[0], 204, "the closing append again")
        self.assertEqual(self.error(post("{")), (409, "STREAM_CLOSED"))
        self.assertEqual(json.loads(self.ask("GET")[2]), [1, 2, 3])

    def test_forks(self):
        source = self.path + "-source"
        self.ask("PUT", TEXT, "one two", path=source)
        fork = {**TEXT, "Stream-Forked-From": source, "Stream-Fork-Offset": offset(3)}
        self.assertEqual(self.error(self.ask("PUT", {**fork, "If-Match": "*"})),
                         (412, "PRECONDITION_FAILED"))
        self.assertEqual(self.ask("DELETE", path=source)[0], 204)
        self.assertEqual(self.ask("HEAD", path=source)[0], 404, "a refused fork holds no source")
        self.ask("PUT", TEXT, "one two", path=source)
        status, made, _ = self.ask("PUT", {**fork, "If-None-Match": "*"})
        self.assertEqual(status, 201)
        self.fails(self.ask("PUT", {**fork, "If-None-Match": "*"}))
        self.assertEqual(self.post("!", If_Match=offset(3))[0], 204)
        self.fails(self.post("late", If_Match=made["ETag"]))
        self.fails(self.ask("DELETE", {"If-Match": made["ETag"]}))
        self.assertEqual(self.content(), b"one!")

    def test_buckets_and_unknown_preconditions_are_refused(self):
        for method in ("PUT", "GET", "DELETE"):
            self.assertEqual(self.error(self.ask(method, {"If-Match": "*"}, path="/demo")),
                             (400, "NOT_SUPPORTED"))
        self.put()
        for name in ("Stream-Record-Match", "If"):
            self.assertEqual(self.error(self.post(**{name: "1"})), (400, "NOT_SUPPORTED"))
        self.assertEqual(self.content(), b"one")


READS = ("", "?offset=now", "?offset=-1&live=long-poll", "?offset=now&live=long-poll",
         "?offset=-1&live=sse")


class Incarnations(Served):
    def read(self, query, headers):
        """(status, headers) of any read; of SSE when its head is there."""
        with self.server.raw() as client:
            lines = "".join("%s: %s\r\n" % header for header in headers.items())
            client.write("GET %s%s HTTP/1.1\r\nHost: h\r\n%s\r\n" % (self.path, query, lines))
            head = client.read_to("\r\n\r\n")
        answer = dict(line.split(": ", 1) for line in head.splitlines()[1:-1])
        return int(head[9:12]), answer

    def test_a_stream_made_again_does_not_answer_readers_of_the_old_one(self):
        old = self.put("the old one")["Stream-Incarnation"]
        self.assertRegex(old, "^[0-9a-f]{16}$")
        for query in READS:
            status, headers = self.read(query, {"Stream-Incarnation": old})
            self.assertIn(status, (200, 204), query)
            self.assertEqual(headers["Stream-Incarnation"], old, query)
        self.assertEqual(self.post(Stream_Incarnation=old)[1]["Stream-Incarnation"], old)
        status, headers, _ = self.ask("DELETE", {"Stream-Incarnation": old})
        self.assertEqual((status, headers["Stream-Incarnation"]), (204, old))
        self.assertEqual(self.read("", {"Stream-Incarnation": old})[0], 404)
        own = self.put("new")["Stream-Incarnation"]
        self.assertNotEqual(own, old)
        for query in READS + ("?offset=" + offset(11),):
            status, headers = self.read(query, {"Stream-Incarnation": old})
            self.assertEqual((status, headers["Stream-Incarnation"]), (412, own), query)
            self.assertEqual(headers["Stream-Next-Offset"], offset(3))
        self.assertEqual(self.ask("HEAD", {"Stream-Incarnation": old})[0], 412)
        self.fails(self.post(Stream_Incarnation=old))
        self.fails(self.post(Stream_Incarnation=old, If_Match=offset(3)))
        self.fails(self.ask("PUT", {**TEXT, "Stream-Incarnation": old}))
        self.fails(self.ask("DELETE", {"Stream-Incarnation": old}))
        self.assertEqual(self.post(Stream_Incarnation=own, If_Match=offset(3))[0], 204)
        for bad in ("abc", old + "0", "x" * 16):
            self.assertEqual(self.error(self.post(Stream_Incarnation=bad)),
                             (400, "INVALID_PRECONDITION"))

    def test_refused_appends_name_it(self):
        own = self.put()["Stream-Incarnation"]
        self.post("", Stream_Closed="true")
        for answer in (self.post(), self.ask("POST", {"Content-Type": "a/b"}, "x")):
            self.assertEqual((answer[0], answer[1]["Stream-Incarnation"]), (409, own))
        self.assertEqual(self.read("?offset=junk", {})[1]["Stream-Incarnation"], own)

    def test_reads_under_if_match(self):
        tag = self.put()["ETag"]
        for query in READS:
            self.assertLess(self.read(query, {"If-Match": tag})[0], 300, query)
            self.assertEqual(self.read(query, {"If-Match": '"x"'})[0], 412, query)
        self.post()
        for query in READS:
            status, headers = self.read(query, {"If-Match": tag})
            self.assertEqual((status, headers["Stream-Next-Offset"]), (412, offset(4)), query)


class Lives(unittest.TestCase):
    """Equal names and lengths, other bytes, in another life of a server or a directory."""

    def make(self, server, body):
        server.ask("PUT", "/v1/stream/s", body, TEXT)
        return server.ask("GET", "/v1/stream/s")[1], server.ask("HEAD", "/v1/stream/s")[1]

    def differ(self, server, before):
        read, head = self.make(server, "two")
        self.assertNotEqual(head["Stream-Incarnation"], before[1]["Stream-Incarnation"])
        self.assertNotEqual(head["ETag"], before[1]["ETag"])
        for tag in (before[0]["ETag"], before[1]["ETag"]):
            status, _, body = server.ask("GET", "/v1/stream/s", headers={"If-None-Match": tag})
            self.assertEqual((status, body), (200, b"two"))
            self.assertEqual(server.ask("POST", "/v1/stream/s", "x", {**TEXT, "If-Match": tag})[0],
                             412)
        asking = {"Stream-Incarnation": before[1]["Stream-Incarnation"]}
        self.assertEqual(server.ask("GET", "/v1/stream/s", headers=asking)[0], 412)
        self.assertEqual(read["Stream-Next-Offset"], before[0]["Stream-Next-Offset"])

    def test_a_memory_server_restarted(self):
        with harness.Server("--memory") as server:
            before = self.make(server, "one")
            server.stop()
            server.start()
            self.differ(server, before)

    def test_a_directory_wiped(self):
        with harness.Server() as server:
            before = self.make(server, "one")
            server.stop()
            os.rename(server.data_dir, server.data_dir + "-old")
            server.start()
            self.differ(server, before)

    def test_a_restart_keeps_tags_and_incarnation(self):
        with harness.Server() as server:
            before = self.make(server, "one")
            server.kill()
            server.start()
            after = self.make(server, "two")
            for old, new in zip(before, after):
                self.assertEqual(new["ETag"], old["ETag"])
                self.assertEqual(new["Stream-Incarnation"], old["Stream-Incarnation"])
            asking = {"If-None-Match": before[0]["ETag"]}
            self.assertEqual(server.ask("GET", "/v1/stream/s", headers=asking)[0], 304)


class Writer:
    """One side of the race; keeps its connection and, if it has one, its producer's sequence."""

    def __init__(self, server, number):
        self.client = server.raw()
        self.name = "w%d" % number
        self.producer = number % 2 == 0
        self.sequence = 0

    def send(self, path, condition, body):
        more = ""
        if self.producer:
            more = "".join("%s: %s\r\n" % header
                           for header in producer(self.sequence, name=self.name).items())
        self.client.write("POST %s HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\n"
                          "If-Match: %s\r\n%sContent-Length: %d\r\n\r\n%s"
                          % (path, condition, more, len(body), body))

    def receive(self):
        """(won, head)"""
        status, head, _ = self.client.read_response()
        won = status == (200 if self.producer else 204)
        if not won and status != 412:
            raise AssertionError("%d %s" % (status, head))
        self.sequence += won and self.producer
        return won, head


def value_of(head, name):
    return head.split("\r\n%s: " % name, 1)[1].split("\r\n", 1)[0]


class Races(Served):
    WRITERS = 8  # Connections, on both cores; in each round two of them.

    def race(self, rounds):
        seed = int(os.environ.get("URSULA_SEED", random.randrange(1 << 32)))
        print("seed=%d" % seed, flush=True)
        chance = random.Random(seed)
        tag, tail, content = self.put("")["ETag"], 0, []
        writers = [Writer(self.server, number) for number in range(self.WRITERS)]
        for number in range(rounds):
            pair = chance.sample(writers, 2)
            condition = (tag, offset(tail), '"%s"' % offset(tail))[number % 3]
            for writer in pair:
                writer.send(self.path, condition, "%s %d\n" % (writer.name, number))
            results = [writer.receive() for writer in pair]
            self.assertEqual([won for won, _ in results].count(True), 1, results)
            winner = pair[0] if results[0][0] else pair[1]
            content.append("%s %d\n" % (winner.name, number))
            tail += len(content[-1])
            for _, head in results:  # The loser is told the winner's tail.
                self.assertEqual(value_of(head, "Stream-Next-Offset"), offset(tail))
            self.assertEqual(*(value_of(head, "ETag") for _, head in results))
            tag = value_of(results[0][1], "ETag")
        self.assertEqual(self.content().decode(), "".join(content))
        return sum(writer.sequence for writer in writers)

    def test_of_two_writers_on_one_tail_exactly_one_gets_there(self):
        with_producer = self.race(ROUNDS)
        print("%d rounds, one 2xx in each, %d of them by producers that lost rounds between"
              % (ROUNDS, with_producer), flush=True)

    def test_of_many_in_one_pipeline_the_first_gets_there(self):
        self.put("")
        for number in range(20):
            tail = 50 * number
            request = ("POST %s HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nIf-Match: %s\r\n"
                       "Content-Length: 50\r\n\r\n%050d" % (self.path, offset(tail), number))
            with self.server.raw() as client:
                client.write(request * 50)
                answers = [client.read_response() for _ in range(50)]
            self.assertEqual([answer[0] for answer in answers], [204] + [412] * 49)
            for _, head, _ in answers:
                self.assertEqual(value_of(head, "Stream-Next-Offset"), offset(tail + 50))

    def test_of_two_deletes_and_a_create_each_is_done_by_one(self):
        writers = [self.server.raw() for _ in range(2)]
        for _ in range(100):
            tag = self.put()["ETag"]
            for request in ("DELETE %s HTTP/1.1\r\nHost: h\r\nIf-Match: %s\r\n\r\n"
                            % (self.path, tag),
                            "PUT %s HTTP/1.1\r\nHost: h\r\nIf-None-Match: *\r\n\r\n" % self.path):
                for writer in writers:
                    writer.write(request)
                statuses = sorted(writer.read_response()[0] for writer in writers)
                self.assertIn(statuses, ([204, 404], [201, 412]))
            self.ask("DELETE")


if __name__ == "__main__":
    harness.main()
