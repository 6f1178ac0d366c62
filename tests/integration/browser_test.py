#!/usr/bin/env python3
"""A real browser: a page of another origin creates, appends and follows; a restart and a close.

Debian's chromium, driven through chromedriver's HTTP (W3C WebDriver). Their 130 MB are not in the
lists of packages: without them this is skipped, and `tests/run --full clients-D` installs them.
"""
import contextlib
import http.client
import http.server
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import unittest

import harness


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>page</title>")

    def log_message(self, *_):
        pass


class Browser:
    """Headless, with a page of `origin` open."""

    def __init__(self, origin):
        self.folder = tempfile.TemporaryDirectory(prefix="ursula-")
        self.log = tempfile.TemporaryFile(mode="w+")
        self.driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=self.log, text=True,
            env=harness.environment(HOME=self.folder.name))
        for line in self.driver.stdout:
            found = re.search(r"on port (\d+)", line)
            if found and "started" in line:
                self.port = int(found[1])
                break
        options = {"binary": shutil.which("chromium"),
                   "args": ["--headless=new", "--no-sandbox", "--disable-gpu",
                            "--disable-dev-shm-usage", "--no-first-run",
                            "--user-data-dir=" + self.folder.name]}
        made = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options,
            "timeouts": {"script": harness.PATIENCE_S * 1000}}}})
        self.session = "/session/" + made["sessionId"]
        self.ask("POST", self.session + "/url", {"url": origin})

    def close(self):
        with contextlib.suppress(OSError, AssertionError):
            self.ask("DELETE", self.session)
        self.driver.terminate()
        self.driver.wait(harness.PATIENCE_S)
        self.driver.stdout.close()
        self.log.close()
        self.folder.cleanup()

    def ask(self, method, target, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=harness.PATIENCE_S)
        connection.request(method, target, None if body is None else json.dumps(body),
                           {"Content-Type": "application/json"})
        value = json.loads(connection.getresponse().read())["value"]
        connection.close()
        if isinstance(value, dict) and "error" in value:
            raise AssertionError(value["message"])
        return value

    def run(self, script, *arguments):
        """What an async function with that body returns in the page."""
        return self.ask("POST", self.session + "/execute/async", {
            "script": "const [...args] = arguments, done = args.pop();"
                      "(async (...args) => {%s})(...args).then(done, e => done('' + e));" % script,
            "args": arguments})


MISSING = [program for program in ("chromium", "chromedriver") if shutil.which(program) is None]


@unittest.skipIf(MISSING, "not here: " + ", ".join(MISSING))
class BrowserTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        pages = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        cls.addClassCleanup(pages.server_close)
        cls.addClassCleanup(pages.shutdown)
        cls.browser = Browser("http://127.0.0.1:%d/" % pages.server_address[1])
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        self.server = harness.Server()
        self.addCleanup(self.server.__exit__)
        # A restart has the same address.
        self.server.flags[1] = "127.0.0.1:%d" % self.server.port
        self.url = self.server.url + "/v1/stream/s"

    def make(self):
        return self.browser.run("""
            const made = await fetch(args[0], {method: 'PUT', headers: {'Content-Type': 'text/plain'}});
            return made.status;""", self.url)

    def append(self, text):
        return self.browser.run("""
            const done = await fetch(args[0], {method: 'POST', body: args[1],
                                               headers: {'Content-Type': 'text/plain'}});
            return done.status;""", self.url, text)

    def follow(self):
        self.browser.run("""
            window.seen = [];
            window.source = new EventSource(args[0] + '?live=sse&offset=-1');
            source.addEventListener('data', event => seen.push(event.data));""", self.url)

    def seen(self):
        return self.browser.run("return seen.join('');")

    def test_a_page_of_another_origin_writes_reads_and_sees_the_headers(self):
        self.assertEqual(self.make(), 201)
        self.assertEqual(self.append("one"), 204)
        got = self.browser.run("""
            const read = await fetch(args[0] + '?offset=-1');
            const names = ['Stream-Next-Offset', 'Stream-Up-To-Date', 'ETag', 'Content-Type'];
            return [await read.text(), ...names.map(name => read.headers.get(name))];""", self.url)
        self.assertEqual(got[0], "one")
        self.assertRegex(got[1], r"^\d{16}_\d{16}$")
        self.assertEqual(got[2], "true")
        self.assertTrue(got[3])
        self.assertRegex(got[4], "^text/plain")
        # A producer's headers need a preflight.
        self.assertEqual(self.browser.run("""
            const headers = {'Content-Type': 'text/plain', 'Producer-Id': 'p', 'Producer-Epoch': '0',
                             'Producer-Seq': '0'};
            const done = await fetch(args[0], {method: 'POST', body: 'two', headers});
            return [done.status, done.headers.get('Producer-Seq')];""", self.url), [200, "0"])

    def test_an_event_source_goes_on_after_a_restart_without_a_gap_or_a_repetition(self):
        self.make()
        self.append("one;")
        self.follow()
        harness.wait_until(lambda: self.seen() == "one;")
        self.append("two;")
        harness.wait_until(lambda: self.seen() == "one;two;")
        self.assertEqual(self.server.stop(), 0)
        self.server.start()
        self.assertEqual(self.append("three;"), 204)
        harness.wait_until(lambda: self.seen().endswith("three;"))
        self.assertEqual(self.seen(), "one;two;three;")

    def test_a_closed_stream_ends_an_event_source(self):
        self.make()
        self.append("all")
        self.follow()
        harness.wait_until(lambda: self.seen() == "all")
        self.assertEqual(self.browser.run("""
            const done = await fetch(args[0], {method: 'POST', headers: {'Stream-Closed': 'true'}});
            return done.status;""", self.url), 204)
        # It comes once more, and is told not to again.
        harness.wait_until(lambda: self.browser.run("return source.readyState;") == 2)
        self.assertEqual(self.seen(), "all")


if __name__ == "__main__":
    harness.main()
