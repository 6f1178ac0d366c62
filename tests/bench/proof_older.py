#!/usr/bin/env python3
"""Measures this commit's server against an older one's, in one run; tests/bars/replicas-A.sh and -G.sh.

usage: proof_older.py fan-out|appends

URSULA_OLDER names the older binary; where it doesn't, commit 84b6b36 is built in a work tree of its
own, .cache/older. Both servers take turns, each run on a fresh one.
URSULA_BENCH_ALTERNATIONS and URSULA_BENCH_SECONDS make it shorter (5 and 4).
"""
import os
import pathlib
import resource
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import scenarios  # noqa: E402
import servers  # noqa: E402
import summary  # noqa: E402

OLDER = "84b6b36"
STREAMS = 100_000


def build_older():
    """Its ursulad, of the repository's history."""
    tree = servers.ROOT / ".cache/older"
    binary = tree / ".bazel/opt-bin/server/ursulad"
    if not binary.exists():
        def git(*words):
            subprocess.run(["git", *words], cwd=servers.ROOT, check=True, stdout=sys.stderr)
        git("worktree", "prune")
        if not tree.exists():
            git("worktree", "add", "--detach", str(tree), OLDER)
        command = ["bazel", "build", "--config=opt", "--symlink_prefix=.bazel/opt-", "//:ursulad"]
        if os.environ.get("URSULA_DISK_CACHE"):
            command.insert(2, "--disk_cache=" + os.environ["URSULA_DISK_CACHE"])
        subprocess.run(command, cwd=tree, check=True, stdout=sys.stderr)
    return binary


def older_binary():
    older = os.environ.get("URSULA_OLDER") or str(build_older())
    if not pathlib.Path(older).is_file():
        raise SystemExit("URSULA_OLDER: there is no " + older)
    return older


def both():
    """The durable server of this commit and of the older one, as kinds."""
    now = servers.kinds()["durable"]
    now.name = "this-commit"
    # What it calls its figures is no part of the comparison.
    before = servers.Kind(OLDER, [older_binary(), *now.command[1:]])
    now.admin = False
    return now, before


def alternated(name, alternations, seconds):
    """Of one scenario: the figures of this commit's runs and of the older one's."""
    scenario = next(s for s in scenarios.SCENARIOS if s.name == name)
    now, before = both()
    runs = scenarios.alternate([(scenario, before), (scenario, now)], alternations, seconds)
    return runs[name, now.name], runs[name, before.name]


def ratio(now, before, figure):
    return summary.ratio_median([r[figure] for r in now], [r[figure] for r in before])


# ---- fan-out ----

def fan_out_once(kind, readers, seconds):
    with servers.Server(kind) as server:
        result = servers.run_bench(server, "fan-out", "--readers", readers, "--rate", 50,
                                   "--payload", 256, "--warmup", 1, "--duration", seconds,
                                   "--patience", 60, may_fail=True)
    deliver, stage = servers.load_of(result, "fan-out", "deliver")
    append, _ = servers.load_of(result, "fan-out", "append")
    return {
        "failed": result["failed"],
        "delivered": deliver["operations"],
        "p50": deliver["latency_ms"]["p50"],
        "p99": deliver["latency_ms"]["p99"],
        "writer p99": append["latency_ms"]["p99"],
        "cpu": stage["server_cpu"] * stage["seconds"] / max(deliver["operations"], 1),
    }


def fan_out(verdicts, alternations, seconds):
    now, before = both()
    runs = {now.name: [], before.name: []}
    for _ in range(alternations):
        for kind in (before, now):
            figures = fan_out_once(kind, 1000, seconds)
            print("%s: p50 %.2f ms, p99 %.2f ms, the writer's p99 %.2f ms, %.2f us a delivery, "
                  "%d failed" % (kind.name, figures["p50"], figures["p99"], figures["writer p99"],
                                 1e6 * figures["cpu"], figures["failed"]), flush=True)
            runs[kind.name].append(figures)
    for figure, high in (("p99", 0.5), ("p50", 0.6), ("writer p99", 0.3), ("cpu", 0.85)):
        verdicts.check("fan-out to 1 000: " + figure,
                       ratio(runs[now.name], runs[before.name], figure), high=high)
    verdicts.check("failed", sum(r["failed"] for r in runs[now.name]), high=0, unit="")
    many = fan_out_once(now, 10_000, max(seconds, 5))
    print("10 000 readers: %d deliveries, p99 %.1f ms" % (many["delivered"], many["p99"]))
    verdicts.check("10 000 readers: failed", many["failed"], high=0, unit="")
    verdicts.check("10 000 readers: deliveries", many["delivered"], low=10_000, unit="")


# ---- appends and memory ----

def bytes_a_stream(kind):
    with servers.Server(kind) as server:
        time.sleep(3)
        before = servers.rss_bytes(server.pid)
        servers.run_bench(server, "idle", "--streams", STREAMS, "--duration", 1, "--filled")
        time.sleep(3)
        return (servers.rss_bytes(server.pid) - before) / STREAMS


def appends(verdicts, alternations, seconds):
    now, before = alternated("append", alternations, seconds)
    verdicts.check("durable appends", ratio(now, before, "per_second"), low=0.97)
    verdicts.check("failed", sum(r["failed"] for r in now), high=0, unit="")
    kinds = both()
    taken = [[bytes_a_stream(kind) for kind in kinds] for _ in range(min(alternations, 3))]
    print("bytes a stream, now and before: %s" % ", ".join("%.0f and %.0f" % tuple(t) for t in taken))
    verdicts.check("memory a stream", summary.ratio_median(*zip(*taken)), high=1.0)


def run(arguments, usage, measures):
    """One of `measures`, {name: (function, alternations)}; the exit code."""
    if len(arguments) != 1 or arguments[0] not in measures:
        raise SystemExit(usage)
    measure, alternations = measures[arguments[0]]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    servers.SCRATCH.mkdir(parents=True, exist_ok=True)
    if "URSULAD" not in os.environ or not pathlib.Path(servers.binary("ursula_bench")).exists():
        servers.build()
    verdicts = summary.Verdicts()
    measure(verdicts, int(os.environ.get("URSULA_BENCH_ALTERNATIONS", alternations)),
            float(os.environ.get("URSULA_BENCH_SECONDS", "4")))
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], __doc__, {"fan-out": (fan_out, 5), "appends": (appends, 5)}))
