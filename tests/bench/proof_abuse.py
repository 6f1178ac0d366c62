#!/usr/bin/env python3
"""Measures the bar of bad input, tests/bars/proof-E.sh. URSULA_ABUSE_ALTERNATIONS shortens it."""
import contextlib
import hashlib
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

sys.dont_write_bytecode = True
import servers  # noqa: E402
import summary  # noqa: E402

SLOW = 1000
RATE, CONNECTIONS = 500, 16
SECONDS = 10
MEMORY_BYTES = 256 << 20
MEMORY_FLAGS = ("--hot-bytes-max", "32MiB", "--body-bytes-max", "8MiB",
                "--inflight-body-bytes-max", "32MiB", "--inflight-read-bytes-max", "32MiB")


def run_suite(name):
    """(cases, all good) of a suite of tests/integration against the optimized server."""
    script = servers.ROOT / "tests/integration" / (name + ".py")
    done = subprocess.run([str(script), servers.ursulad()], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    print(done.stdout[-3000:] if done.returncode else done.stdout.splitlines()[-1], flush=True)
    return len(re.findall(r"^test_.* \.\.\. ok$", done.stdout, re.MULTILINE)), done.returncode == 0


def check_inputs(verdicts):
    sys.path.insert(0, str(servers.ROOT / "tests/integration"))
    import http_clauses_test
    must = len([n for n in dir(http_clauses_test.Must) if n.startswith("test_")])
    smuggling = len([n for n in dir(http_clauses_test.Smuggling) if n.startswith("test_")])
    cases, good = run_suite("http_clauses_test")
    verdicts.check("clauses safe", cases if good else 0, low=must + smuggling, unit="")
    verdicts.check("of them demanded by the RFCs", must, low=113, unit="")
    verdicts.check("of them smuggling", smuggling, low=87, unit="")
    inputs, good = run_suite("abuse_test")
    verdicts.check("suites of bad input", inputs if good else 0, low=40, unit="")


# ---- slow connections ----

def p99(server):
    result = servers.run_bench(server, "append", "--connections", CONNECTIONS, "--streams",
                               CONNECTIONS, "--rate", RATE, "--duration", SECONDS)
    return servers.load_of(result, "append", "append")[0]["latency_ms"]["p99"]


@contextlib.contextmanager
def slow_clients(server):
    port = server.url.split(":")[2].split("/")[0]
    urllib.request.urlopen(urllib.request.Request(
        server.url + "/slow", data=b"x" * (1 << 20), method="PUT")).close()
    crowd = subprocess.Popen([sys.executable, str(servers.ROOT / "tests/bench/slow_clients.py"),
                              port, "v1/stream/bench/slow", str(SLOW)], text=True,
                             stdout=subprocess.PIPE)
    try:
        if crowd.stdout.readline() != "ready\n":
            raise RuntimeError("the slow clients did not start")
        yield
    finally:
        crowd.terminate()
        print(crowd.stdout.read().strip(), flush=True)
        crowd.wait()


def check_slow(verdicts, alternations):
    idle, crowded, open_least = [], [], []
    for _ in range(alternations):
        with servers.Server(servers.kinds()["durable"]) as server:
            idle.append(p99(server))
            with slow_clients(server):
                crowded.append(p99(server))
                open_least.append(server.metrics()["ursula_http_connections"])
        print("p99 %.2f ms idle, %.2f ms beside %d slow connections" % (
            idle[-1], crowded[-1], open_least[-1]), flush=True)
    verdicts.check("slow connections held", min(open_least), low=SLOW * 0.95, unit="")
    verdicts.check("append p99 beside them / idle", summary.ratio_median(crowded, idle), high=2)


# ---- 256 MB of memory ----

class MemoryGroup:
    """A control group of memory, in either version of the interface."""

    def __init__(self, limit):
        name = "ursula-%d" % os.getpid()
        second = pathlib.Path("/sys/fs/cgroup/cgroup.controllers")
        if second.exists() and "memory" in second.read_text().split():
            self.path = pathlib.Path("/sys/fs/cgroup") / name
            files = {"memory.max": limit, "memory.swap.max": 0}
            self.peak_file = "memory.peak"
        else:
            self.path = pathlib.Path("/sys/fs/cgroup/memory") / name
            files = {"memory.limit_in_bytes": limit}
            self.peak_file = "memory.max_usage_in_bytes"
        self.path.mkdir()
        for file, value in files.items():
            if (self.path / file).exists():
                (self.path / file).write_text(str(value))

    def add(self, pid):
        (self.path / "cgroup.procs").write_text(str(pid))

    def kills(self):
        for file in ("memory.events", "memory.oom_control"):
            if (self.path / file).exists():
                found = re.search(r"^oom_kill (\d+)$", (self.path / file).read_text(), re.MULTILINE)
                return int(found[1]) if found else None
        return None

    def remove(self):
        for _ in range(100):
            with contextlib.suppress(OSError):
                self.path.rmdir()
                return
            time.sleep(0.1)


def ask(url, method, body=None):
    """The status; refusals are answers too."""
    request = urllib.request.Request(url, data=body, method=method, headers={
        "Content-Type": "application/octet-stream"})
    try:
        with urllib.request.urlopen(request, timeout=servers.PATIENCE_S) as response:
            return response.status
    except urllib.error.HTTPError as error:
        error.read()
        return error.code


def append_large(url, number, kept, refused):
    """Bodies of 8 MiB as fast as they are taken; what was acknowledged is written down."""
    name = "%s/large%d" % (url, number)
    ask(name, "PUT")
    for i in range(8):
        body = bytes([number, i]) * (4 << 20)
        status = ask(name, "POST", body)
        while status == 503:
            refused.append(name)
            time.sleep(0.05)
            status = ask(name, "POST", body)
        if status != 204:
            raise AssertionError("append: %d" % status)
        kept.setdefault(name, hashlib.sha256()).update(body)


def read_hash(url):
    digest, offset = hashlib.sha256(), "-1"
    while True:
        try:
            with urllib.request.urlopen("%s?offset=%s" % (url, offset),
                                        timeout=servers.PATIENCE_S) as response:
                digest.update(response.read())
                offset = response.headers["Stream-Next-Offset"]
                if response.headers["Stream-Up-To-Date"]:
                    return digest.hexdigest()
        except urllib.error.HTTPError as error:
            # The slow clients have gone, but what was read for them may not have been let go of yet.
            if error.code != 503:
                raise
            time.sleep(float(error.headers["Retry-After"]))


def check_memory(verdicts):
    group = MemoryGroup(MEMORY_BYTES)
    try:
        with servers.Server(servers.kinds()["durable"], MEMORY_FLAGS) as server:
            group.add(server.pid)
            kept, refused = {}, []
            with slow_clients(server):
                writers = [threading.Thread(target=append_large,
                                            args=(server.url, i, kept, refused)) for i in range(24)]
                for writer in writers:
                    writer.start()
                for writer in writers:
                    writer.join()
                servers.run_bench(server, "append", "--connections", 64, "--streams", 10_000,
                                  "--duration", 5)
            whole = sum(read_hash(name) == digest.hexdigest() for name, digest in kept.items())
            peak = int((group.path / group.peak_file).read_text())
            print("24 x 8 bodies of 8 MiB beside slow clients: refused %d times for now, RSS %s MB,"
                  " the group's peak %s MB" % (len(refused), summary.figure(
                      servers.rss_bytes(server.pid) / 1e6), summary.figure(peak / 1e6)))
            alive = server.process.poll() is None
        verdicts.check("in 256 MB: streams whole", whole, low=24, unit="")
        verdicts.check("alive", int(alive), low=1, unit="")
        verdicts.check("killed for memory", group.kills(), high=0, unit="")
    finally:
        group.remove()


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    servers.build()
    shutil.rmtree(servers.SCRATCH, ignore_errors=True)
    servers.SCRATCH.mkdir(parents=True)
    verdicts = summary.Verdicts()
    check_inputs(verdicts)
    check_slow(verdicts, int(os.environ.get("URSULA_ABUSE_ALTERNATIONS", 5)))
    check_memory(verdicts)
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
