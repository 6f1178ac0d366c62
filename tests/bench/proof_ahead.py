#!/usr/bin/env python3
"""Measures this commit's server against an older one's, or against the fastest peer, in one run;
tests/bars/speed-A.sh to -D.sh and -F.sh.

usage: proof_ahead.py fan-out|appends|replay|busy|peer

The older binary is proof_older.py's. The peer is the crate `durable-streams` (Electric's server): URSULA_PEER
names its program; where it doesn't, `cargo install` puts it into .cache/peer.
URSULA_BENCH_ALTERNATIONS and URSULA_BENCH_SECONDS make it shorter (5, of busy 9; and 4).
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
import proof_older  # noqa: E402
import proof_speed  # noqa: E402
import scenarios  # noqa: E402
import servers  # noqa: E402
import summary  # noqa: E402

sys.path.insert(0, str(servers.ROOT / "tests/integration"))
import cluster_cost  # noqa: E402
import harness  # noqa: E402
import nodes  # noqa: E402

CRATE, RELEASE = "durable-streams", "0.1.5"


def older(mode):
    """The kind of commit 84b6b36 in one mode, "durable" or "memory"."""
    return next(kind for kind in servers.own(proof_older.older_binary(), "-older")
                if kind.name == mode + "-older")


def compared(names, kinds, settings):
    """Figures of each scenario for each kind, all in turns."""
    chosen = [s for s in scenarios.SCENARIOS if s.name in names]
    cells = [(scenario, kind) for scenario in chosen for kind in kinds
             if kind.name.split("-")[0] in scenario.kinds]
    return proof_speed.Figures(scenarios.alternate(cells, *settings))


def check(verdicts, figures, scenario, above, below, **limits):
    """limits: figure to the least ratio it may have, or with a minus the largest."""
    for figure, limit in limits.items():
        name = "%s %s: %s" % (scenario, above, figure)
        ratio = figures.ratio((scenario, above), (scenario, below), figure)
        if limit > 0:
            verdicts.check(name, ratio, low=limit)
        else:
            verdicts.check(name, ratio, high=-limit)


def check_none_failed(verdicts, figures, kinds):
    verdicts.check("failed", sum(run["failed"] for (_, kind), runs in figures.runs.items()
                                 for run in runs if kind in kinds), high=0, unit="")


# ---- fan-out ----

def three_nodes(seconds):
    """1 000 readers over three nodes, as bar cluster-F has them: p50 and p99 in ms."""
    cores = -(-len(os.sched_getaffinity(0)) // 3)
    with nodes.Cluster(3, groups=1, small=False, flags=("--core-count", str(cores))) as cluster:
        writer = cluster.leader()
        others = [node for node in cluster.nodes if node != writer]
        result = json.loads(subprocess.run(
            [servers.binary("ursula_bench"), "fan-out", "--url",
             cluster[writer].url + "/v1/stream/bench", "--readers", "1000", "--rate", "50",
             "--payload", "256", "--warmup", "1", "--duration", str(seconds), "--json", "-",
             "--quiet", "--readers-at",
             ",".join("127.0.0.1:%d" % cluster[node].port for node in others)],
            check=True, capture_output=True, text=True).stdout)
        encoded = sum(cluster_cost.metric(cluster, node, "sse_frames_encoded_total")
                      for node in cluster.nodes)
    latency = servers.load_of(result, "fan-out", "deliver")[0]["latency_ms"]
    return {"p50": latency["p50"], "p99": latency["p99"], "encoded": encoded}


def fan_out(verdicts, alternations, seconds):
    harness.ursulad_path = servers.ursulad()
    now, before = servers.kinds()["durable"], older("durable")
    runs = {kind: [] for kind in ("now", "before", "three")}
    for _ in range(alternations):
        runs["before"].append(proof_older.fan_out_once(before, 1000, seconds))
        runs["now"].append(proof_older.fan_out_once(now, 1000, seconds))
        runs["three"].append(three_nodes(seconds))
        print("p50 and p99, ms: before %.2f, %.2f; now %.2f, %.2f; three nodes %.2f, %.2f" % tuple(
            runs[kind][-1][figure] for kind in ("before", "now", "three")
            for figure in ("p50", "p99")), flush=True)
    for figure, high in (("p99", 0.45), ("p50", 0.55), ("cpu", 0.8)):
        verdicts.check("fan-out: " + figure,
                       proof_older.ratio(runs["now"], runs["before"], figure), high=high)
    for figure, high in (("p99", 0.45), ("p50", 0.55)):
        verdicts.check("three nodes: " + figure,
                       proof_older.ratio(runs["three"], runs["before"], figure), high=high)
    verdicts.check("failed", sum(r["failed"] for r in runs["now"]), high=0, unit="")
    figures = compared(["fan-out"], [now], (1, seconds))
    proof_speed.check_frames(verdicts, figures, seconds)
    messages = proof_speed.FAN_OUT_RATE * (seconds + 1)
    verdicts.check("three nodes: frames encoded a node and message",
                   summary.median([r["encoded"] for r in runs["three"]]) / messages / 3, high=1.05)


# ---- appends ----

def appends(verdicts, alternations, seconds):
    kinds = [kind for mode in ("durable", "memory")
             for kind in (older(mode), servers.kinds()[mode])]
    figures = compared(("append", "append-256", "streams-100000", "bulk", "create"), kinds,
                       (alternations, seconds))
    for mode, low in (("memory", 1.2), ("durable", 1.15)):
        for scenario in ("append", "append-256"):
            check(verdicts, figures, scenario, mode, mode + "-older", per_second=low, p99=-1.0)
    verdicts.check("streams-100000/64", figures.ratio(("streams-100000", "durable"),
                                                      ("append", "durable")), low=0.85)
    check(verdicts, figures, "bulk", "durable", "durable-older", per_second=1.15)
    check(verdicts, figures, "create", "durable", "durable-older", per_second=1.0)
    check_none_failed(verdicts, figures, ("durable", "memory"))
    taken = [[proof_older.bytes_a_stream(kind) for kind in kinds[1::-1]]
             for _ in range(min(alternations, 3))]
    verdicts.check("memory a stream", summary.ratio_median(*zip(*taken)), high=1.0)


# ---- replay, busy CPUs ----

def replay(verdicts, alternations, seconds):
    figures = compared(("replay", "replay-gzip"), [older("durable"), servers.kinds()["durable"]],
                       (alternations, seconds))
    check(verdicts, figures, "replay", "durable", "durable-older", per_second=1.2, p99=-0.85)
    check(verdicts, figures, "replay-gzip", "durable", "durable-older", per_second=5)
    check_none_failed(verdicts, figures, ("durable",))


def busy(verdicts, alternations, seconds):
    every = servers.kinds()
    kinds = [every["no-polling"], every["durable"], older("durable")]
    appended = proof_speed.Figures(scenarios.alternate(
        [(s, kind) for s in scenarios.SCENARIOS if s.name == "append-busy" for kind in kinds[:2]],
        alternations, seconds))
    fanned = proof_speed.Figures(scenarios.alternate(
        [(s, kind) for s in scenarios.SCENARIOS if s.name == "fan-out-busy" for kind in kinds[1:]],
        min(alternations, 5), seconds))
    check(verdicts, appended, "append-busy", "durable", "no-polling", per_second=0.97)
    check(verdicts, fanned, "fan-out-busy", "durable", "durable-older", p99=-0.5)
    for figures in appended, fanned:
        check_none_failed(verdicts, figures, ("durable", "no-polling"))


# ---- the peer ----

def peer_binary():
    """None if it isn't at hand."""
    if os.environ.get("URSULA_PEER"):
        return os.environ["URSULA_PEER"]
    home = servers.ROOT / ".cache/peer"
    program = home / "bin/durable-streams-server"
    cargo = shutil.which("cargo") or shutil.which("cargo", path=str(pathlib.Path.home() / ".cargo/bin"))
    if not program.exists() and cargo:
        subprocess.run([cargo, "install", CRATE, "--version", RELEASE, "--root", str(home)],
                       check=True, stdout=sys.stderr)
    return str(program) if program.exists() else None


def peer(verdicts, alternations, seconds):
    program = peer_binary()
    if program is None:
        raise SystemExit("the peer isn't at hand: URSULA_PEER=PROGRAM, or cargo")
    command = [program, "--port", "{port}", "--data-dir", "{dir}/data", "--durability"]
    theirs = {"durable": servers.Kind("durable-peer", [*command, "wal"], prefix="/bench"),
              "memory": servers.Kind("memory-peer", [*command, "memory"], prefix="/bench")}
    kinds = [kind for mode in theirs for kind in (theirs[mode], servers.kinds()[mode])]
    figures = compared(("append", "fan-out", "replay"), kinds, (alternations, seconds))
    check(verdicts, figures, "append", "durable", "durable-peer", per_second=1.5)
    check(verdicts, figures, "append", "memory", "memory-peer", per_second=1.15)
    check(verdicts, figures, "fan-out", "durable", "durable-peer", p99=-0.8)
    check(verdicts, figures, "replay", "durable", "durable-peer", p99=-0.85)
    check_none_failed(verdicts, figures, ("durable", "memory"))


if __name__ == "__main__":
    sys.exit(proof_older.run(sys.argv[1:], __doc__, {
        "fan-out": (fan_out, 5), "appends": (appends, 5), "replay": (replay, 5), "busy": (busy, 9),
        "peer": (peer, 5)}))
