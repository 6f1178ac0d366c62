"""What golden directories hold: made by make.py once for each release, read by golden_directory_test.py for ever.

A stream is described by what a client sees of it. Nothing here may depend on when it is read: what expires, expires
in a hundred years.
"""
import hashlib
import json
import time

FOREVER = "2126-01-01T00:00:00Z"
LARGE_BYTES = 1 << 20
LARGE_COUNT = 70  # More than a payload file takes.
WATCHED = ("Content-Type", "ETag", "Stream-Closed", "Stream-Expires-At", "Stream-Incarnation",
           "Stream-Next-Offset")


def good(answer, *wanted):
    status, headers, body = answer
    if status not in wanted:
        raise AssertionError("status %d: %r" % (status, body))
    return headers


def put(client, path, content_type="text/plain", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return good(client.ask("PUT", path, b"", {"Content-Type": content_type, **named}), 200, 201)


def post(client, path, body, content_type="text/plain", **headers):
    while True:
        answer = client.append(path, body, content_type, **headers)
        if answer[0] != 503:
            return good(answer, 200, 204)
        time.sleep(0.1)  # As it asks for.


def block(number):
    """Text that is another one for each number, and compresses."""
    line = ("%08d " % number) * 8 + "\n"
    return (line * (LARGE_BYTES // len(line) + 1))[:LARGE_BYTES].encode()


def fill(client, large=True):
    """Streams of every kind. `client`: of the node that is asked."""
    root = "/v1/stream/"
    put(client, root + "text")
    for number in range(40):
        post(client, root + "text", b"line %d\n" % number)
    put(client, root + "json", "application/json")
    for number in range(20):
        post(client, root + "json", json.dumps([{"n": number}, "m"]).encode(), "application/json")
    put(client, root + "binary", "application/octet-stream")
    post(client, root + "binary", bytes(range(256)) * 40, "application/octet-stream")
    put(client, root + "empty")
    put(client, root + "closed")
    post(client, root + "closed", b"the end", Stream_Closed="true")
    put(client, root + "expiring", Stream_Expires_At=FOREVER)
    post(client, root + "expiring", b"for a while")
    put(client, root + "produced")
    for sequence in range(5):
        post(client, root + "produced", b"p%d\n" % sequence, Producer_Id="writer",
             Producer_Epoch="1", Producer_Seq=str(sequence))
    put(client, root + "sequenced")
    post(client, root + "sequenced", b"s", Stream_Seq="0005")
    # Forks, within a group and across groups, of each other, of what is deleted since.
    put(client, root + "source")
    tail = post(client, root + "source", b"before the fork\n")["Stream-Next-Offset"]
    post(client, root + "source", b"behind the fork\n")
    for number in range(6):
        put(client, root + "fork%d" % number, Stream_Forked_From=root + "source",
            Stream_Fork_Offset=tail)
        post(client, root + "fork%d" % number, b"of fork %d\n" % number)
    put(client, root + "grandchild", Stream_Forked_From=root + "fork3")
    good(client.ask("DELETE", root + "source"), 204)
    put(client, root + "gone")
    good(client.ask("DELETE", root + "gone"), 204)
    put(client, root + "made-again")
    post(client, root + "made-again", b"the first life")
    good(client.ask("DELETE", root + "made-again"), 204)
    put(client, root + "made-again")
    post(client, root + "made-again", b"the second")
    good(client.ask("PUT", "/team"), 200, 201)
    put(client, "/team/minutes")
    post(client, "/team/minutes", b"of a bucket")
    for number in range(LARGE_COUNT if large else 2):
        if number == 0:
            put(client, root + "large")
        post(client, root + "large", block(number))


def end(client):
    """Behind a checkpoint: what only the log has."""
    root = "/v1/stream/"
    put(client, root + "late")
    post(client, root + "late", b"only in the log")
    post(client, root + "text", b"the last line\n")
    post(client, root + "json", b'"last"', "application/json")


NAMES = (["/v1/stream/" + name for name in (
    "text", "json", "binary", "empty", "closed", "expiring", "produced", "sequenced", "source",
    "grandchild", "gone", "made-again", "large", "late", *("fork%d" % n for n in range(6)))] +
    ["/team/minutes"])


def seen(client):
    """Of each stream: its status, and where it is there what HEAD says of it, how much it holds and a sum of that."""
    streams = {}
    for name in NAMES:
        status, headers, _ = client.ask("HEAD", name)
        streams[name] = {"status": status}
        if status == 200:
            streams[name]["headers"] = {word: headers[word] for word in WATCHED if word in headers}
            body = client.read_all(name)
            streams[name]["bytes"] = len(body)
            streams[name]["sha256"] = hashlib.sha256(body).hexdigest()
    return streams


def go_on(client):
    """It takes what a client would go on with: the next of each, and nothing twice."""
    root = "/v1/stream/"
    writer = {"Producer_Id": "writer", "Producer_Epoch": "1"}
    good(client.append(root + "produced", b"p4\n", "text/plain", Producer_Seq="4", **writer), 204)
    good(client.append(root + "produced", b"p6\n", "text/plain", Producer_Seq="6", **writer), 409)
    good(client.append(root + "produced", b"p5\n", "text/plain", Producer_Seq="5", **writer), 200)
    good(client.append(root + "sequenced", b"t", "text/plain", Stream_Seq="0005"), 409)
    good(client.append(root + "sequenced", b"t", "text/plain", Stream_Seq="0006"), 200, 204)
    good(client.append(root + "closed", b"more", "text/plain"), 409)
    for name in ("text", "fork1", "grandchild", "large", "late", "empty"):
        post(client, root + name, b"since\n")
    put(client, root + "new")
    put(client, root + "fork-of-now", Stream_Forked_From=root + "large")
    good(client.ask("DELETE", root + "fork0"), 204)
