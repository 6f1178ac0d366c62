"""The bar of speed, tests/bars/proof-C.sh: verdicts on the runs of a comparison."""
import os

import scenarios
import servers
import summary

APPENDS = ("durable", "memory", "noop", "nginx", "reference-file", "reference-memory")
FAN_OUT_RATE = 50


class Figures:
    """Runs of one evening: each figure of each cell, in the order of the alternations."""

    def __init__(self, runs):
        self.runs = runs

    def of(self, scenario, kind, figure="per_second"):
        return [run.get(figure) for run in self.runs[scenario, kind]]

    def ratio(self, above, below, figure="per_second"):
        return summary.ratio_median(self.of(*above, figure), self.of(*below, figure))


def check_speed(verdicts, figures):
    append = {kind: ("append", kind) for kind in APPENDS}
    durable = append["durable"]
    for above, below, low in [("noop", "nginx", 0.8), ("memory", "noop", 0.6),
                              ("durable", "memory", 0.6), ("durable", "reference-file", 35),
                              ("durable", "reference-memory", 1)]:
        verdicts.check("%s/%s" % (above, below), figures.ratio(append[above], append[below]),
                       low=low)
    verdicts.check("append p99 / reference-file's",
                   figures.ratio(durable, append["reference-file"], "p99"), high=0.1)
    verdicts.check("fan-out p99 / reference-memory's",
                   figures.ratio(("fan-out", "durable"), ("fan-out", "reference-memory"), "p99"),
                   high=0.2)
    verdicts.check("replay p99 / reference-file's",
                   figures.ratio(("replay", "durable"), ("replay", "reference-file"), "p99"),
                   high=0.2)
    print("for information: replay p99 / reference-memory's: %s" % summary.figure(
        figures.ratio(("replay", "durable"), ("replay", "reference-memory"), "p99"), "x"))
    for many in ("streams-10000", "streams-100000"):
        verdicts.check("%s/64" % many, figures.ratio((many, "durable"), durable), low=0.8)
    verdicts.check("creates/appends", figures.ratio(("create", "durable"), durable), low=0.5)


def check_frames(verdicts, figures, seconds):
    """A frame is encoded once, however many readers on however many cores it goes to."""
    encoded = summary.median(figures.of("fan-out", "durable",
                                        "metric:ursula_sse_frames_encoded_total"))
    shared = summary.median(figures.of("fan-out", "durable",
                                       "metric:ursula_sse_frames_shared_total"))
    messages = FAN_OUT_RATE * (seconds + 1)
    print("frames: %s encoded, %s shared" % (summary.figure(encoded), summary.figure(shared)))
    verdicts.check("frames encoded for each message",
                   encoded / messages if encoded else None, high=1.05)
    verdicts.check("frames sent for each encoded", shared / encoded if encoded else None, low=950)


def check_wal(verdicts, alternations, seconds):
    """Bytes of the log with 64 KiB appends, against fio with that block, the same sync and as many
    writers; and, for information, with blocks as large as the log's own batches."""
    kinds = servers.kinds()
    scenario = next(s for s in scenarios.SCENARIOS if s.name == "bulk")
    ours, limits, batch_limits = [], [], []
    for _ in range(alternations):
        run = scenarios.measure(scenario, kinds["durable"], seconds)
        written = run["metric:ursula_wal_written_bytes_total"]
        appends = run["metric:ursula_appends_total"]
        batch = max(4096, round(written / run["metric:ursula_wal_batches_total"] / 4096) * 4096)
        ours.append(run["per_second"] * written / appends)
        limits.append(servers.fio(65536, seconds, os.cpu_count()))
        batch_limits.append(servers.fio(batch, seconds, os.cpu_count()))
        print("log %s MB/s in batches of %d KiB; fio %s MB/s in blocks of 64 KiB, %s in such" % (
            summary.figure(ours[-1] / 1e6), batch // 1024, summary.figure(limits[-1] / 1e6),
            summary.figure(batch_limits[-1] / 1e6)), flush=True)
    verdicts.check("log bytes/fio of 64 KiB", summary.ratio_median(ours, limits), low=0.75)
    print("for information: log bytes/fio of its batches: %s" % summary.figure(
        summary.ratio_median(ours, batch_limits), "x"))


def judge(runs, alternations, seconds):
    """The verdicts on `runs`, which scenarios.alternate gave; the log is measured here."""
    figures = Figures(runs)
    for (scenario, kind), cell in runs.items():
        print("%-15s %-17s %s/s, p99 %s ms, server %s us an op, disk busy %s" % (
            scenario, kind, *[summary.figure(summary.median([r.get(f) for r in cell]))
                              for f in ("per_second", "p99", "server_us", "disk_busy")]))
    verdicts = summary.Verdicts()
    failed = sum(run["failed"] for cell in runs.values() for run in cell)
    verdicts.check("failed answers", failed, high=0, unit="")
    check_speed(verdicts, figures)
    check_frames(verdicts, figures, seconds)
    check_wal(verdicts, alternations, seconds)
    return verdicts
