"""What is compared: loads with their servers and figures."""
import contextlib
import dataclasses
import os
import subprocess
import sys

import servers


@dataclasses.dataclass
class Scenario:
    name: str
    title: str
    kinds: tuple      # Names of servers.kinds() that can do it.
    workload: str     # Of ursula-bench.
    flags: tuple
    stage: str        # Which stage and load the figures are of.
    load: str
    unit: str = "1/s"
    few: tuple = ()   # Flags for a server that is too slow for `flags`, as (name, value) pairs.
    timed: bool = True
    beside: bool = False  # A busy loop on each CPU all the while.
    peers: bool = True    # Other people's servers and older builds of ours take part.


STREAM_SERVERS = ("durable", "memory", "reference-file", "reference-memory")

SCENARIOS = (
    Scenario("append", "Appends: 256 B, 64 connections on 64 streams, closed loop",
             ("durable", "memory", "noop", "nginx", "reference-file", "reference-memory"),
             "append", ("--connections", 64, "--streams", 64, "--payload", 256), "append",
             "append"),
    Scenario("append-256", "Appends: 256 B, 256 connections on 256 streams, closed loop",
             ("durable", "memory"), "append",
             ("--connections", 256, "--streams", 256, "--payload", 256), "append", "append"),
    # A rate that all of them bear, so that what differs is how long an append takes.
    Scenario("append-open", "Appends: 256 B at 5000/s, 64 connections on 64 streams, open loop",
             ("durable", "memory"), "append",
             ("--connections", 64, "--streams", 64, "--payload", 256, "--rate", 5000), "append",
             "append", few=(("--rate", 200),)),
    Scenario("append-busy", "Appends as in the first, beside a busy loop on each CPU",
             ("durable", "no-polling", "memory"), "append",
             ("--connections", 64, "--streams", 64, "--payload", 256), "append", "append",
             beside=True),
    Scenario("producers", "The same with producer headers", ("durable", "memory"), "append",
             ("--connections", 64, "--streams", 64, "--payload", 256, "--producers"), "append",
             "append", peers=False),
    Scenario("streams-10000", "The same on 10 000 streams", ("durable", "memory"), "append",
             ("--connections", 64, "--streams", 10_000, "--payload", 256), "append", "append"),
    Scenario("streams-100000", "The same on 100 000 streams", ("durable", "memory"), "append",
             ("--connections", 64, "--streams", 100_000, "--payload", 256), "append", "append"),
    Scenario("bulk", "Appends of 64 KiB, 64 connections on 64 streams", ("durable",),
             "append", ("--connections", 64, "--streams", 64, "--payload", 65536), "append",
             "append"),
    Scenario("fan-out", "Fan-out: one writer at 50/s, 1000 SSE readers; time to delivery",
             ("durable", "memory", "reference-memory"), "fan-out",
             ("--readers", 1000, "--rate", 50, "--payload", 256), "fan-out", "deliver"),
    Scenario("fan-out-busy", "The same fan-out, beside a busy loop on each CPU",
             ("durable", "no-polling"), "fan-out",
             ("--readers", 1000, "--rate", 50, "--payload", 256), "fan-out", "deliver",
             beside=True),
    # As many replays of each client: those that a server lets wait count like the others.
    Scenario("replay", "Replay: 500 clients read a log of 200 x 1 KiB", STREAM_SERVERS, "replay",
             ("--connections", 500, "--messages", 200, "--payload", 1024, "--rounds", 60), "replay",
             "replay", few=(("--rounds", 6),), timed=False),
    Scenario("replay-gzip", "The same replay, gzip", ("durable", "memory"), "replay",
             ("--connections", 500, "--messages", 200, "--payload", 1024, "--rounds", 6, "--gzip"),
             "replay", "replay", timed=False),
    Scenario("create", "Creates: 64 connections", STREAM_SERVERS, "create",
             ("--connections", 64, "--streams", 50_000), "create", "create",
             few=(("--streams", 2000),), timed=False),
)


def flags_of(scenario, kind, seconds, warmup):
    flags = list(scenario.flags)
    if kind.slow:
        for name, value in scenario.few:
            flags[flags.index(name) + 1] = value
    if scenario.timed:
        flags += ["--warmup", warmup, "--duration", seconds]
    return flags


@contextlib.contextmanager
def busy_loops(wanted):
    """One on each CPU that this process may use, none if they aren't wanted."""
    loops = []
    try:
        for cpu in os.sched_getaffinity(0) if wanted else ():
            loops.append(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            os.sched_setaffinity(loops[-1].pid, {cpu})
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def measure(scenario, kind, seconds, warmup=1):
    """One run on a fresh server: a flat dictionary of figures."""
    with servers.Server(kind) as server, busy_loops(scenario.beside):
        before = server.metrics()
        result = servers.run_bench(server, scenario.workload,
                                   *flags_of(scenario, kind, seconds, warmup), may_fail=True)
        after = server.metrics()
    load, stage = servers.load_of(result, scenario.stage, scenario.load)
    operations = max(load["operations"], 1)
    figures = {
        "failed": result["failed"],
        "per_second": load["per_second"],
        "bytes_per_second": load["bytes_per_second"],
        "server_cpu": stage.get("server_cpu"),
        "client_cpu": stage["client_cpu"],
        "machine_cpu": stage["machine_cpu"],
        "disk_busy": stage.get("disk_busy"),
        "rss_bytes": stage["end"].get("rss_bytes"),
        **{name: value for name, value in load["latency_ms"].items()},
    }
    if stage.get("server_cpu") is not None:
        figures["server_us"] = 1e6 * stage["server_cpu"] * stage["seconds"] / operations
    figures["client_us"] = 1e6 * stage["client_cpu"] * stage["seconds"] / operations
    for name in after:
        figures["metric:" + name] = after[name] - before.get(name, 0)
    return figures


def alternate(cells, alternations, seconds, warmup=1):
    """Runs each (scenario, kind) once, then each once more …; {(scenario, kind): [figures]}."""
    runs = {(scenario.name, kind.name): [] for scenario, kind in cells}
    for turn in range(alternations):
        for scenario, kind in cells:
            servers.say("-- alternation %d of %d: %s, %s" % (turn + 1, alternations, scenario.name,
                                                            kind.name))
            figures = measure(scenario, kind, seconds, warmup)
            servers.say("   %.0f/s, p50 %.3f ms, p99 %.3f ms%s" % (
                figures["per_second"], figures["p50"], figures["p99"],
                ", %d FAILED" % figures["failed"] if figures["failed"] else ""))
            runs[scenario.name, kind.name].append(figures)
    return runs
