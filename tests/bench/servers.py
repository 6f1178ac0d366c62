"""The servers that a comparison starts, each afresh for each run, and ursula-bench runs against them."""
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import shlex
import socket
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRATCH = ROOT / ".cache/bench"
OPT = ROOT / ".bazel/opt-bin"
PATIENCE_S = 60

NGINX_CONFIG = """\
worker_processes auto;
daemon off;
pid {dir}/nginx.pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  server {{ listen 127.0.0.1:{port} reuseport; location / {{ return 204; }} }}
}}
"""


def say(text):
    print(text, flush=True)


def ursulad():
    return os.environ.get("URSULAD", str(OPT / "server/ursulad"))


def binary(name):
    return str(OPT / "tests/bench" / name)


def build():
    """The optimized binaries."""
    command = ["bazel", "build", "--config=opt", "--symlink_prefix=.bazel/opt-", "//:ursulad",
               "//tests/bench:ursula_bench", "//tests/bench:noop_server"]
    if os.environ.get("URSULA_DISK_CACHE"):
        command.insert(2, "--disk_cache=" + os.environ["URSULA_DISK_CACHE"])
    if os.environ.get("URSULA_BENCH_JOBS"):
        command.insert(2, "--jobs=" + os.environ["URSULA_BENCH_JOBS"])
    subprocess.run(command, cwd=ROOT, check=True)


def install_peers():
    """nginx and fio of Debian, the reference server of npm."""
    subprocess.run(["third_party/debian/install", "+nginx-light", "+fio"], cwd=ROOT, check=True)
    script = "source tests/support/node.sh && ursula_npm_install tests/bench && ursula_node"
    found = subprocess.run(["bash", "-c", script], cwd=ROOT, check=True, text=True,
                           stdout=subprocess.PIPE)
    return found.stdout.split()[-1]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def disk_of(path):
    """The name that /proc/diskstats has for the whole device under `path`, or None."""
    device = os.stat(path).st_dev
    node = pathlib.Path("/sys/dev/block/%d:%d" % (os.major(device), os.minor(device)))
    if not node.exists():
        return None
    node = node.resolve()
    return node.parent.name if (node / "partition").exists() else node.name


def rss_bytes(pid):
    for line in pathlib.Path("/proc/%d/status" % pid).read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


@dataclasses.dataclass
class Kind:
    """A server that can be started: `command` with {port} and {dir}; or one that runs, at `url`."""
    name: str
    command: list = None
    prefix: str = "/v1/stream/bench"
    creates: bool = True  # False: it only answers POST.
    admin: bool = False
    url: str = None
    slow: bool = False    # What takes others seconds would take it minutes: it is asked for less.


def own(binary, suffix=""):
    """The kinds of one ursulad, durable and in memory."""
    listen = ["--listen", "127.0.0.1:{port}", "--admin-listen", "127.0.0.1:{admin_port}"]
    return [
        Kind("durable" + suffix, [binary, *listen, "--data-dir", "{dir}/data"], admin=True),
        Kind("memory" + suffix, [binary, *listen, "--memory"], admin=True),
    ]


def kinds(node="node"):
    reference = [node, str(ROOT / "tests/bench/reference_server.mjs"), "{port}"]
    durable, memory = own(ursulad())
    every = [
        durable,
        memory,
        dataclasses.replace(durable, name="no-polling",
                            command=[*durable.command, "--busy-poll-us", "0"]),
        Kind("reference-file", [*reference, "{dir}/data"], slow=True),
        Kind("reference-memory", reference, slow=True),
        Kind("noop", [binary("noop_server"), "{port}"], creates=False),
        Kind("nginx", ["nginx", "-p", "{dir}", "-c", "{dir}/nginx.conf"], creates=False),
    ]
    return {kind.name: kind for kind in every}


class Server:
    """A running server; a context manager that stops it and deletes what it wrote."""

    def __init__(self, kind, flags=()):
        self.kind = kind
        self.pid = None
        self.process = None
        self.admin_port = None
        self.dir = None
        if kind.url:
            self.url = kind.url
            return
        self.dir = SCRATCH / ("%s-%d" % (kind.name, os.getpid()))
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir(parents=True)
        port, self.admin_port = free_port(), free_port()
        facts = {"port": port, "admin_port": self.admin_port, "dir": self.dir}
        (self.dir / "nginx.conf").write_text(NGINX_CONFIG.format(**facts))
        command = [part.format(**facts) for part in kind.command] + list(flags)
        say("$ " + shlex.join(command))
        log = open(self.dir / "log", "w")
        # Names that the tests are told by are mistakes to ursulad.
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("URSULA_")}
        self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        self.pid = self.process.pid
        self.url = "http://127.0.0.1:%d%s" % (port, kind.prefix)
        self._await(port)

    def _await(self, port):
        deadline = time.monotonic() + PATIENCE_S
        ports = [port, self.admin_port] if self.kind.admin else [port]
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                for one in ports:
                    socket.create_connection(("127.0.0.1", one), timeout=1).close()
                return
            time.sleep(0.02)
        text = (self.dir / "log").read_text()
        self.stop()
        raise RuntimeError("%s did not start: %s" % (self.kind.name, text[-2000:]))

    def metrics(self):
        """The server's counters by name; one without an admin port has none."""
        if not self.kind.admin:
            return {}
        url = "http://127.0.0.1:%d/metrics" % self.admin_port
        text = urllib.request.urlopen(url, timeout=PATIENCE_S).read().decode()
        found = re.findall(r"^(\w+) ([-+.\deE]+)$", text, re.MULTILINE)
        return {name: float(value) for name, value in found}

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.dir is not None:
            shutil.rmtree(self.dir, ignore_errors=True)
            os.sync()  # What this one left to be written is not the next one's.

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def run_bench(server, workload, *flags, may_fail=False):
    """One run of ursula-bench; its JSON result."""
    command = [binary("ursula_bench"), workload, "--url", server.url, *map(str, flags)]
    if not server.kind.creates:
        command.append("--no-create")
    if server.pid:
        command += ["--server-pid", str(server.pid)]
    disk = disk_of(SCRATCH if SCRATCH.exists() else ROOT)
    if disk:
        command += ["--disk", disk]
    say("$ " + shlex.join(command))
    result = SCRATCH / ("result-%d.json" % os.getpid())
    SCRATCH.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([*command, "--quiet", "--json", str(result)])
    if not result.exists():
        raise RuntimeError("ursula-bench ended with %d" % done.returncode)
    parsed = json.loads(result.read_text())
    result.unlink()
    if parsed["failed"] and not may_fail:
        raise RuntimeError("ursula-bench: %d failed" % parsed["failed"])
    return parsed


def load_of(result, stage, name):
    """One load of a stage of a result, with the stage's own figures."""
    for found in result["stages"]:
        if found["stage"] == stage:
            for load in found["loads"]:
                if load["name"] == name:
                    return load, found
    raise KeyError("%s of %s" % (name, stage))


def fio(block_bytes, seconds, jobs=1):
    """Bytes a second of synchronous writes of one block size over preallocated files."""
    folder = SCRATCH / ("fio-%d" % os.getpid())
    folder.mkdir(parents=True, exist_ok=True)
    base = ["fio", "--name=wal", "--directory=" + str(folder), "--rw=write", "--direct=1",
            "--sync=dsync", "--ioengine=psync", "--overwrite=1", "--size=64M",
            "--bs=%d" % block_bytes, "--numjobs=%d" % jobs, "--group_reporting",
            "--output-format=json"]
    try:
        # The first run lays the files out; the second writes over them, as a log's segments are.
        subprocess.run([*base, "--create_only=1"], check=True, stdout=subprocess.DEVNULL)
        command = [*base, "--time_based", "--runtime=%g" % seconds]
        say("$ " + shlex.join(command))
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]["write"]["bw_bytes"]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
