"""Real ursulad processes and raw HTTP clients, for the tests beside this file.

A test script ends with `harness.main()`: it takes the server's path as its first argument, runs the
unittest cases of the script and, under Bazel, writes a case each to XML_OUTPUT_FILE.
"""
import fcntl
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse
import xml.sax.saxutils

# Nothing here takes long: what does hangs, and is a failure. Not so what a busy machine holds up.
PATIENCE_S = 600
ursulad_path = None


def environment(**more):
    """Without what the tests themselves are told: to ursulad those names would be mistakes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("URSULA_")}
    return {**kept, **more}


class Client:
    """Requests to the server that listens on a port."""

    host = "127.0.0.1"

    def __init__(self, port):
        self.port = port

    def ask(self, method, target, body=None, headers=None, port=None):
        """(status, headers, body) over a connection of its own."""
        connection = http.client.HTTPConnection(self.host, port or self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, target, body=body, headers=headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def append(self, target, body, content_type="application/octet-stream", **headers):
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        return self.ask("POST", target, body, {"Content-Type": content_type, **named})

    def read_all(self, target):
        """Every byte of a stream, page by page."""
        data, offset = b"", "-1"
        while True:
            status, headers, body = self.ask("GET", "%s?offset=%s" % (target, offset))
            if status != 200:
                raise AssertionError("GET %s: %d %r" % (target, status, body))
            data += body
            offset = headers["Stream-Next-Offset"]
            if headers.get("Stream-Up-To-Date") == "true":
                return data

    def raw(self):
        return RawClient(self.port)


class Server(Client):
    """One ursulad, on a port of the kernel's choice unless `port` is one. With `data_dir` it can be
    started again. `host`: where it listens and is asked."""

    def __init__(self, *flags, data_dir=None, admin=False, before=None, log=None, wait=True,
                 variables=None, binary=None, host="127.0.0.1", port=0):
        self.binary = binary or ursulad_path
        self.variables = variables or {}  # Of its environment, besides.
        self.before = before  # Called in the new process, for limits.
        self._own_dir = None
        if data_dir is None and "--memory" not in flags:
            self._own_dir = tempfile.TemporaryDirectory(prefix="ursula-")
            data_dir = os.path.join(self._own_dir.name, "data")
        self.data_dir = data_dir
        self.host = host
        self.flags = ["--listen", "%s:%d" % (host, port), "--admin-listen",
                      host + ":0" if admin else "none", *flags]
        if data_dir is not None:
            self.flags += ["--data-dir", str(data_dir)]
        self.log = log or tempfile.TemporaryFile(mode="w+")  # Its stderr.
        # The server writes to its end, wherever it is read here.
        fcntl.fcntl(self.log, fcntl.F_SETFL, fcntl.fcntl(self.log, fcntl.F_GETFL) | os.O_APPEND)
        self.launch()
        if wait:
            self.await_listening()

    def start(self, *more):
        self.launch(*more)
        self.await_listening()

    def launch(self, *more):
        self.process = subprocess.Popen([self.binary, *self.flags, *more], text=True,
                                        stdout=subprocess.PIPE, stderr=self.log,
                                        preexec_fn=self.before, env=environment(**self.variables))

    def await_listening(self):
        line = self.process.stdout.readline()
        match = re.fullmatch(r"listening on (http://[0-9.]+:(\d+))\n", line)
        if match is None:
            self.process.kill()
            raise AssertionError("ursulad did not start: %r %s" % (line, self.log_text()))
        self.url, self.port = match[1], int(match[2])

    def log_text(self):
        """At its own place: what the server writes meanwhile moves the offset that both share."""
        text = b""
        while part := os.pread(self.log.fileno(), 1 << 20, len(text)):
            text += part
        return text.decode(self.log.encoding, self.log.errors)

    def admin_port(self):
        wait_until(lambda: "admin listening" in self.log_text())  # The log is written behind.
        for line in reversed(self.log_text().splitlines()):
            entry = json.loads(line)
            if entry["message"] == "admin listening":
                return int(entry["address"].rsplit(":", 1)[1])
        raise AssertionError("no admin listener in the log")

    def stop(self, how=signal.SIGTERM):
        """The exit status."""
        self.process.send_signal(how)
        status = self.process.wait(PATIENCE_S)
        self.process.stdout.close()
        return status

    def kill(self):
        return self.stop(signal.SIGKILL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()
        self.log.close()
        if self._own_dir is not None:
            self._own_dir.cleanup()

    def metric(self, name):
        """A metric's value now; needs admin=True. The engine publishes its own now and then."""
        _, _, body = self.ask("GET", "/metrics", port=self.admin_port())
        for line in body.decode().splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError("no metric " + name)


class RawClient:
    """A socket that says exactly what it is told."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def write(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def end(self):
        self.socket.shutdown(socket.SHUT_WR)

    def _fill(self):
        data = self.socket.recv(1 << 16)
        self.buffer += data
        return bool(data)

    def read_to(self, word):
        """Up to and with `word`; what there is if the connection ends before."""
        word = word if isinstance(word, bytes) else word.encode()
        while word not in self.buffer and self._fill():
            pass
        at = self.buffer.find(word)
        size = len(self.buffer) if at < 0 else at + len(word)
        text, self.buffer = self.buffer[:size], self.buffer[size:]
        return text.decode("latin-1")

    def read_response(self):
        """(status, head, body) of a response with Content-Length, or without a body."""
        head = self.read_to("\r\n\r\n")
        length = re.search(r"(?i)\r\nContent-Length: (\d+)", head)
        size = int(length[1]) if length else 0
        while len(self.buffer) < size and self._fill():
            pass
        body, self.buffer = self.buffer[:size], self.buffer[size:]
        return int(head[9:12] or 0), head, body

    def read_all(self):
        try:
            while self._fill():
                pass
        except ConnectionResetError:
            return None
        data, self.buffer = self.buffer, b""
        return data


def quote(text):
    """As a value in a query."""
    return urllib.parse.quote(text, safe="")


def wait_until(condition):
    """For what another process does on its own; `condition` is asked until it holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it never came to hold")
        time.sleep(0.01)


class _Result(unittest.TextTestResult):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.cases = []
        self._start = time.monotonic()  # What fails in a setUpClass has no startTest.

    def startTest(self, test):
        self._start = time.monotonic()
        super().startTest(test)

    def _add(self, test, kind="", message=""):
        self.cases.append((test, time.monotonic() - self._start, kind, message))

    def addSuccess(self, test):
        super().addSuccess(test)
        self._add(test)

    def addError(self, test, err):
        super().addError(test, err)
        self._add(test, "error", self.errors[-1][1])

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._add(test, "failure", self.failures[-1][1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._add(test, "skipped", reason)


def _write_xml(cases, path):
    quote = xml.sax.saxutils.quoteattr
    lines = ["<testsuites><testsuite name=%s>" % quote(pathlib.Path(sys.argv[0]).stem)]
    for test, seconds, kind, message in cases:
        class_name, name = test.id().split(".")[-2:]
        inside = "<%s message=%s/>" % (kind, quote(message)) if kind else ""
        lines.append("<testcase classname=%s name=%s time=\"%.3f\">%s</testcase>"
                     % (quote(class_name), quote(name), seconds, inside))
    lines.append("</testsuite></testsuites>")
    pathlib.Path(path).write_text("\n".join(lines))


def main():
    global ursulad_path
    ursulad_path = os.path.abspath(sys.argv[1])
    # The cases live in __main__, this state in the module `harness`: one and the same object.
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    if len(sys.argv) > 2:
        suite = unittest.defaultTestLoader.loadTestsFromNames(sys.argv[2:],
                                                              sys.modules["__main__"])
    result = unittest.TextTestRunner(resultclass=_Result, verbosity=2).run(suite)
    if os.environ.get("XML_OUTPUT_FILE"):
        _write_xml(result.cases, os.environ["XML_OUTPUT_FILE"])
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)
