#!/usr/bin/env python3
"""The proxies' configuration in docs/OPERATING.md: a real nginx, and clients that speak HTTP/2 to it."""
import contextlib
import gzip
import os
import pathlib
import re
import select
import shutil
import socket
import subprocess
import tempfile
import unittest

import harness

GUIDE = pathlib.Path(os.environ["URSULA_GUIDE"])
TAILS = 30  # Five times what a browser opens over HTTP/1.1.
AROUND = """\
%(user)s
daemon off;
pid %(folder)s/pid;
error_log %(folder)s/error;
events { worker_connections 1024; }
http {
  log_format connections "$connection $server_protocol $status";
  access_log %(folder)s/access connections;
  client_body_temp_path %(folder)s/body;
  proxy_temp_path %(folder)s/proxy;
  fastcgi_temp_path %(folder)s/fastcgi;
  uwsgi_temp_path %(folder)s/uwsgi;
  scgi_temp_path %(folder)s/scgi;
%(guide)s
}
"""


def block(language):
    """The guide's block of that language."""
    return re.search(r"(?s)\n```%s\n(.*?)\n```\n" % language, GUIDE.read_text())[1]


def which(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Proxy:
    """nginx in front of a server, configured as the guide says, on a free port."""

    def __init__(self, server):
        self.folder = tempfile.TemporaryDirectory(prefix="ursula-")
        self.port = free_port()
        path = self.folder.name
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=streams.example.org", "-keyout", path + "/key", "-out",
                        path + "/crt"], check=True, capture_output=True)
        guide = block("nginx")
        for said, meant in (("127.0.0.1:4437", "127.0.0.1:%d" % server.port),
                            ("listen 443", "listen 127.0.0.1:%d" % self.port),
                            ("/etc/ssl/streams.crt", path + "/crt"),
                            ("/etc/ssl/streams.key", path + "/key")):
            if said not in guide:
                raise AssertionError("the guide has no " + said)
            guide = guide.replace(said, meant)
        user = "user root;" if os.geteuid() == 0 else ""
        pathlib.Path(path, "conf").write_text(
            AROUND % {"folder": path, "guide": guide, "user": user})
        self.process = subprocess.Popen([which("nginx"), "-p", path, "-c", path + "/conf"],
                                        stderr=subprocess.DEVNULL)
        harness.wait_until(self.answers)

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(pathlib.Path(self.folder.name, "error").read_text())
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(harness.PATIENCE_S)
        self.folder.cleanup()

    def url(self, target):
        return "https://streams.example.org:%d%s" % (self.port, target)

    def curl(self, *arguments, **options):
        return subprocess.Popen(
            ["curl", "-sS", "--http2", "-k", "-N", "--resolve",
             "streams.example.org:%d:127.0.0.1" % self.port, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=harness.environment(), **options)

    def ask(self, method, target, *arguments, body=None):
        """(status line and headers, body)"""
        if body is not None:
            arguments = (*arguments, "--data-binary", "@-")
        process = self.curl("-i", "-X", method, *arguments, self.url(target),
                            stdin=subprocess.PIPE)
        out, err = process.communicate(body, timeout=harness.PATIENCE_S)
        if process.returncode != 0:
            raise AssertionError(err.decode())
        head, _, rest = out.partition(b"\r\n\r\n")
        if head.startswith(b"HTTP/2 100"):
            head, _, rest = rest.partition(b"\r\n\r\n")
        return head.decode(), rest

    def accesses(self):
        """(connection, protocol, status) of each request that has ended."""
        text = pathlib.Path(self.folder.name, "access").read_text()
        return [tuple(line.split()) for line in text.splitlines()]


class ProxyTest(unittest.TestCase):
    def setUp(self):
        for program in ("nginx", "openssl", "curl"):
            if which(program) is None:
                self.skipTest("not here: " + program)
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.server = self.stack.enter_context(
            harness.Server("--memory", "--trust-forwarded", "--long-poll-timeout-ms", "500"))
        self.proxy = self.stack.enter_context(Proxy(self.server))

    def read_until(self, process, enough):
        seen = b""
        while not enough(seen):
            ready = select.select([process.stdout], [], [], harness.PATIENCE_S)[0]
            self.assertTrue(ready, "only %r came" % seen[-200:])
            seen += os.read(process.stdout.fileno(), 65536)

    def make(self, content_type="text/plain"):
        head, _ = self.proxy.ask("PUT", "/v1/stream/s", "-H", "Content-Type: " + content_type)
        self.assertTrue(head.startswith("HTTP/2 201"), head)
        return head

    def test_many_tails_share_a_connection_and_keep_no_append_out(self):
        self.make()
        tails = self.proxy.curl(
            "-Z", "--parallel-max", str(TAILS),
            *[self.proxy.url("/v1/stream/s?live=sse&offset=-1&tail=%d" % i) for i in range(TAILS)])
        self.addCleanup(tails.stdout.close)
        self.addCleanup(tails.stderr.close)
        self.read_until(tails, lambda seen: seen.count(b"event: control") >= TAILS)
        head, _ = self.proxy.ask("POST", "/v1/stream/s", "-H", "Content-Type: text/plain",
                                 body=b"now")
        self.assertTrue(head.startswith("HTTP/2 204"), head)
        # None waits in a buffer.
        self.read_until(tails, lambda seen: len(re.findall(rb"data: ?now", seen)) >= TAILS)
        self.proxy.ask("POST", "/v1/stream/s", "-H", "Stream-Closed: true")
        tails.communicate(timeout=harness.PATIENCE_S)  # A closed stream ends them.
        self.assertEqual(tails.returncode, 0)
        harness.wait_until(lambda: len(self.proxy.accesses()) >= TAILS + 3)
        accesses = self.proxy.accesses()
        self.assertEqual({protocol for _, protocol, _ in accesses}, {"HTTP/2.0"})
        connections = [connection for connection, _, _ in accesses]
        self.assertGreaterEqual(max(map(connections.count, connections)), TAILS)

    def test_a_long_poll_ends_as_the_server_says(self):
        head = self.make()
        offset = re.search(r"(?i)stream-next-offset: (\S+)", head)[1]
        head, body = self.proxy.ask("GET", "/v1/stream/s?live=long-poll&offset=" + offset)
        self.assertTrue(head.startswith("HTTP/2 204"), head)
        self.assertEqual(body, b"")

    def test_what_is_read_is_compressed_once(self):
        self.make()
        text = b"the same again and again; " * 4000
        self.proxy.ask("POST", "/v1/stream/s", "-H", "Content-Type: text/plain", body=text)
        head, body = self.proxy.ask("GET", "/v1/stream/s?offset=-1", "-H", "Accept-Encoding: gzip")
        self.assertEqual(re.findall(r"(?im)^content-encoding: (.*?)\r?$", head), ["gzip"])
        self.assertEqual(gzip.decompress(body), text)

    def test_a_large_body_passes_and_location_names_the_proxy(self):
        head = self.make("application/octet-stream")
        self.assertIn("location: https://streams.example.org", head.lower())
        body = os.urandom(20 << 20)
        head, _ = self.proxy.ask("POST", "/v1/stream/s", "-H",
                                 "Content-Type: application/octet-stream", body=body)
        self.assertTrue(head.startswith("HTTP/2 204"), head)
        self.assertEqual(self.server.read_all("/v1/stream/s"), body)

    def test_caddy_takes_its_configuration(self):
        if which("caddy") is None:
            self.skipTest("not here: caddy")
        with tempfile.TemporaryDirectory(prefix="ursula-") as folder:
            path = pathlib.Path(folder, "Caddyfile")
            path.write_text(block("caddy") + "\n")
            done = subprocess.run(["caddy", "adapt", "--adapter", "caddyfile", "--validate",
                                   "--config", path], capture_output=True, text=True,
                                  env=harness.environment(HOME=folder), check=False)
            self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    harness.main()
