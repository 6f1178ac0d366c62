#!/usr/bin/env python3
"""Measures the bar of memory, tests/bars/proof-D.sh. URSULA_BENCH_MILLION=0 leaves the million out."""
import os
import pathlib
import resource
import sys
import time
import urllib.request

sys.dont_write_bytecode = True
import servers  # noqa: E402
import summary  # noqa: E402

MB = 1e6
LOG_SEGMENTS_MAX = 16  # Descriptors of a log's files, which come and go.


def durable():
    return servers.Server(servers.kinds()["durable"])


def settle(server, seconds=3):
    """What the server still does after its last answer is part of its memory too."""
    time.sleep(seconds)
    return servers.rss_bytes(server.pid), servers.descriptors(server.pid)


def check_idle(verdicts):
    with durable() as server:
        urllib.request.urlopen(urllib.request.Request(server.url + "/one", method="PUT")).close()
        rss, _ = settle(server)
    verdicts.check("idle RSS", rss / MB, high=40, unit=" MB")


def check_streams(verdicts, filled):
    what = "100 000 idle streams, %s," % ("an append each" if filled else "empty")
    with durable() as server:
        before, files_before = settle(server)
        result = servers.run_bench(server, "idle", "--streams", 100_000, "--duration", 1,
                                   *(["--filled"] if filled else []))
        after, files_after = settle(server)
    load, _ = servers.load_of(result, "create", "create")
    print("%s take %s bytes each, created at %s/s" % (
        what, summary.figure((after - before) / 100_000), summary.figure(load["per_second"])))
    verdicts.check("%s add" % what, (after - before) / MB, high=100, unit=" MB")
    verdicts.check("%s add descriptors" % what, files_after - files_before, high=LOG_SEGMENTS_MAX,
                   unit="")


def check_tails(verdicts):
    with durable() as server:
        result = servers.run_bench(server, "idle", "--streams", 10_000, "--tails", 10_000,
                                   "--duration", 5)
    stage = result["stages"][-1]
    added = stage["end"]["rss_bytes"] - stage["before"]["rss_bytes"]
    print("10 000 SSE tails: %s bytes each, %d descriptors" % (
        summary.figure(added / 10_000), stage["end"]["descriptors"]))
    verdicts.check("10 000 idle SSE tails add", added / MB, high=100, unit=" MB")


def show_million():
    with durable() as server:
        before, _ = settle(server)
        result = servers.run_bench(server, "idle", "--streams", 1_000_000, "--filled", "--duration",
                                   1, "--patience", 120, may_fail=True)
        after, files = settle(server)
        metrics = server.metrics()
    load, _ = servers.load_of(result, "create", "create")
    print("1 000 000 streams with an append each: RSS %s -> %s MB, %s bytes each, created at %s/s,"
          " %d descriptors, %s MB on disk, %d failed" % (
              summary.figure(before / MB), summary.figure(after / MB),
              summary.figure((after - before) / 1e6), summary.figure(load["per_second"]), files,
              summary.figure(metrics["ursula_disk_bytes"] / MB), result["failed"]))


# ---- a slow reader of a fast stream ----

SLOW = 4
RATE, PAYLOAD = 50, 65536  # 3.3 MB/s: the buffers are full in seconds.
SECONDS = 40               # A reader that takes nothing is cut after 30.


def fan_out(slow):
    with durable() as server:
        flags = ["--readers", 20, "--rate", RATE, "--payload", PAYLOAD, "--duration", SECONDS]
        if slow:
            flags += ["--slow-readers", slow]
        result = servers.run_bench(server, "fan-out", *flags, "--patience", 60)
    deliver, stage = servers.load_of(result, "fan-out", "deliver")
    notes = servers.load_of(result, "fan-out", "slow")[0]["notes"] if slow else {}
    return deliver["latency_ms"]["p99"], stage["end"]["rss_bytes"], notes


def check_slow_reader(verdicts):
    pairs = []
    for _ in range(3):
        alone, rss_alone, _ = fan_out(0)
        beside, rss_beside, notes = fan_out(SLOW)
        pairs.append((alone, beside, (rss_beside - rss_alone) / SLOW, notes))
        print("p99 %.2f ms alone, %.2f ms beside slow readers; each took %.1f MB; %s" % (
            alone, beside, pairs[-1][2] / MB, notes), flush=True)
    verdicts.check("p99 of the others beside slow readers",
                   summary.ratio_median([p[1] for p in pairs], [p[0] for p in pairs]), high=1.2)
    verdicts.check("a slow reader takes", summary.median([p[2] for p in pairs]) / MB, high=16,
                   unit=" MB")
    verdicts.check("slow readers cut", min(p[3].get("cut", 0) for p in pairs), low=SLOW, unit="")
    verdicts.check("slow readers that missed nothing after resuming",
                   min(p[3].get("whole after resuming", 0) for p in pairs), low=SLOW, unit="")


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    servers.build()
    pathlib.Path(servers.SCRATCH).mkdir(parents=True, exist_ok=True)
    verdicts = summary.Verdicts()
    check_idle(verdicts)
    check_streams(verdicts, filled=False)
    check_streams(verdicts, filled=True)
    check_tails(verdicts)
    if os.environ.get("URSULA_BENCH_MILLION", "1") != "0":
        show_million()
    check_slow_reader(verdicts)
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
