#!/usr/bin/env python3
"""Measures the bar of batches, tests/bars/speed-E.sh: appends in batches against single ones, in one run.

Each alternation starts a server afresh, in memory and then durable, and puts both loads on it, one
after the other, in turn the one first and the other.
"""
import argparse
import os
import sys

sys.dont_write_bytecode = True
import servers  # noqa: E402
import summary  # noqa: E402

STREAMS, ITEMS = 64, 100
CONNECTIONS = {"append": 64, "append-batch": 4}


def per_second(server, workload, options):
    flags = ["--streams", STREAMS, "--payload", 256, "--connections", CONNECTIONS[workload],
             "--warmup", 1, "--duration", options.seconds]
    if workload == "append-batch":
        flags += ["--items", ITEMS]
    load, _ = servers.load_of(servers.run_bench(server, workload, *flags), workload, workload)
    print("%s, %s: %s appends/s, p50 %.2f ms, p99 %.2f ms" % (
        server.kind.name, workload, summary.figure(load["per_second"]), load["latency_ms"]["p50"],
        load["latency_ms"]["p99"]), flush=True)
    return load["per_second"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--alternations", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    options = parser.parse_args()
    servers.SCRATCH.mkdir(parents=True, exist_ok=True)
    if "URSULAD" not in os.environ or not os.path.exists(servers.binary("ursula_bench")):
        servers.build()
    seen = {kind: {workload: [] for workload in CONNECTIONS} for kind in ("memory", "durable")}
    for turn in range(options.alternations):
        for kind, loads in seen.items():
            with servers.Server(servers.kinds()[kind]) as server:
                for workload in sorted(CONNECTIONS, reverse=turn % 2 == 1):
                    loads[workload].append(per_second(server, workload, options))
    verdicts = summary.Verdicts()
    for kind, loads in seen.items():
        verdicts.check("batches, " + kind,
                       summary.ratio_median(loads["append-batch"], loads["append"]), low=3)
    sys.exit(verdicts.finish())


if __name__ == "__main__":
    main()
