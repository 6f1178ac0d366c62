#!/usr/bin/env python3
"""A durable server under load for a long time, whose streams and clients come and go: the soak of
tests/bars/proof-F.sh. URSULA_SOAK_SECONDS says how long (5400), half of it to warm up: RSS
rises until the allocator has pages of each size for each load there is (45 minutes seen)."""
import http.client
import os
import pathlib
import resource
import statistics
import sys
import time
import urllib.parse

sys.dont_write_bytecode = True
import servers  # noqa: E402
import summary  # noqa: E402

STREAMS = 200
RATE = 4000
ROUND_SECONDS = 20
SETTLE_SECONDS = 3
LOG_SEGMENTS_MAX = 16  # Descriptors of a log's files, which come and go.


def delete_streams(url, run_id):
    """What a round created is deleted, over one connection."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=servers.PATIENCE_S)
    names = ["%s-s%d" % (run_id, i) for i in range(STREAMS)] + ["%s-log0" % run_id]
    for name in names:
        connection.request("DELETE", "%s/%s" % (parts.path, name))
        response = connection.getresponse()
        response.read()
        if response.status // 100 != 2:
            raise RuntimeError("DELETE of %s: %d" % (name, response.status))
    connection.close()


def soak(seconds):
    """(seconds since the start, RSS, descriptors) after each round, when no client is left."""
    samples = []
    with servers.Server(servers.kinds()["durable"]) as server:
        start = time.monotonic()
        while time.monotonic() - start < seconds:
            run_id = "soak%d" % len(samples)
            servers.run_bench(server, "mixed", "--streams", STREAMS, "--rate", RATE, "--readers", 20,
                              "--replayers", 0, "--warmup", 0, "--duration", ROUND_SECONDS,
                              "--run-id", run_id)
            delete_streams(server.url, run_id)
            time.sleep(SETTLE_SECONDS)
            samples.append((time.monotonic() - start, servers.rss_bytes(server.pid),
                            servers.descriptors(server.pid)))
            print("%5.0f s: RSS %.1f MB, %d descriptors" % (
                samples[-1][0], samples[-1][1] / 1e6, samples[-1][2]), flush=True)
    return samples


def slope_percent_an_hour(times, sizes):
    """Of moving means: what a group holds grows until its next snapshot, so RSS is a sawtooth."""
    width = max(1, len(sizes) // 6)
    means = [statistics.mean(sizes[i:i + width]) for i in range(len(sizes) - width + 1)]
    slope = statistics.linear_regression(times[:len(means)], means).slope
    return 100 * slope * 3600 / statistics.mean(sizes)


def main():
    seconds = float(os.environ.get("URSULA_SOAK_SECONDS", "5400"))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    servers.build()
    pathlib.Path(servers.SCRATCH).mkdir(parents=True, exist_ok=True)
    samples = soak(seconds)
    warm = [sample for sample in samples if sample[0] >= seconds / 2]
    times, sizes, files = zip(*warm)
    verdicts = summary.Verdicts()
    verdicts.check("RSS slope over %d rounds" % len(warm), slope_percent_an_hour(times, sizes),
                   high=1, unit=" % an hour")
    verdicts.check("descriptors added", files[-1] - files[0], high=LOG_SEGMENTS_MAX, unit="")
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
