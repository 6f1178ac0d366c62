#!/usr/bin/env python3
"""What a server tells its service manager: a socket of ours stands in systemd's place."""
import contextlib
import ctypes
import os
import pathlib
import signal
import socket
import tempfile
import time
import unittest

import harness
import nodes
import recovery_test

WATCHDOG_US = 400_000
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207


class Manager:
    """The manager's end of NOTIFY_SOCKET."""

    def __init__(self, abstract=False):
        self.folder = tempfile.TemporaryDirectory(prefix="ursula-")
        self.name = "@ursula-test-%d-%d" % (os.getpid(), id(self)) if abstract else \
            os.path.join(self.folder.name, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.name[1:] if abstract else self.name)
        self.socket.settimeout(harness.PATIENCE_S)
        self.variables = {"NOTIFY_SOCKET": self.name}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.folder.cleanup()

    def next(self):
        """The lines of one datagram."""
        return self.socket.recv(4096).decode().splitlines()

    def wait_for(self, line):
        """All that came before the datagram with `line`, and its own lines."""
        told = []
        while line not in told:
            told += self.next()
        return told

    def drain(self):
        told = []
        self.socket.setblocking(False)
        try:
            while True:
                told += self.next()
        except BlockingIOError:
            self.socket.settimeout(harness.PATIENCE_S)
            return told


def thread_of_core(process, number):
    for task in pathlib.Path("/proc/%d/task" % process.pid).iterdir():
        if (task / "comm").read_text().strip().endswith("-%d" % number):
            return int(task.name)
    raise AssertionError("no thread of core %d" % number)


def ptrace(request, thread):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, thread, None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")


@contextlib.contextmanager
def standing_still(thread):
    ptrace(PTRACE_SEIZE, thread)
    ptrace(PTRACE_INTERRUPT, thread)
    os.waitpid(thread, 0x40000000)  # __WALL: until it stands.
    try:
        yield
    finally:
        ptrace(PTRACE_DETACH, thread)


class Telling(unittest.TestCase):
    def told(self, manager):
        with harness.Server("--memory", variables=manager.variables) as server:
            told = manager.wait_for("READY=1")
            self.assertEqual(told, ["READY=1", "STATUS=serving on " + server.url])
            # Not before somebody can come in.
            self.assertEqual(server.ask("PUT", "/v1/stream/s")[0], 201)
            server.process.send_signal(signal.SIGTERM)
            self.assertIn("STOPPING=1", manager.next())
            self.assertEqual(server.process.wait(harness.PATIENCE_S), 0)

    def test_ready_and_stopping(self):
        with Manager() as manager:
            self.told(manager)

    def test_an_abstract_socket_is_as_good(self):
        with Manager(abstract=True) as manager:
            self.told(manager)

    def test_who_waits_for_peers_needs_more_time_again_and_again(self):
        port = nodes.free_ports(1)[0]
        peers = "1=127.0.0.1:%d,2=127.0.0.1:1,3=127.0.0.1:2" % port
        with Manager() as manager, harness.Server(
                "--node-id", "1", "--peers", peers, "--peer-listen", "127.0.0.1:%d" % port,
                variables=manager.variables, wait=False) as server:
            for _ in range(2):
                self.assertEqual(manager.next(), [
                    "STATUS=recovering: founding the cluster: 0 of 3 nodes have agreed",
                    "EXTEND_TIMEOUT_USEC=60000000"])
            self.assertEqual(server.stop(), 0)

    def test_how_far_recovery_is_and_ready_when_it_is_done(self):
        with Manager() as manager, recovery_test.Held(variables=manager.variables) as held:
            first = manager.next()
            self.assertRegex(first[0], "^STATUS=recovering: reading the log: ")
            # It got on, and needs more time. Then it hangs, and asks for none.
            self.assertEqual(first[1:], ["EXTEND_TIMEOUT_USEC=60000000"])
            self.assertEqual(manager.next(), first[:1])
            held.release()
            held.server.await_listening()
            self.assertNotIn("STOPPING=1", manager.wait_for("READY=1"))
            self.assertEqual(held.server.stop(), 0)

    def test_a_stop_while_it_recovers(self):
        with Manager() as manager, recovery_test.Held(variables=manager.variables) as held:
            held.await_held()
            held.server.process.send_signal(signal.SIGTERM)
            held.release()
            self.assertNotIn("READY=1", manager.wait_for("STOPPING=1"))
            self.assertEqual(held.server.process.wait(harness.PATIENCE_S), 0)

    def test_nobody_listens(self):
        for name in ("/nowhere/at/all", "not-a-path", "", "@", "/" + "x" * 200):
            with harness.Server("--memory", variables={"NOTIFY_SOCKET": name}) as server:
                self.assertEqual(server.stop(), 0)


class Watching(unittest.TestCase):
    def test_a_core_that_hangs_is_heard_of_by_silence(self):
        for core in (0, 1):
            with Manager() as manager:
                variables = {**manager.variables, "WATCHDOG_USEC": str(WATCHDOG_US)}
                with harness.Server("--memory", "--core-count", "2", variables=variables) as server:
                    manager.wait_for("READY=1")
                    manager.wait_for("WATCHDOG=1")
                    thread = thread_of_core(server.process, core)
                    with standing_still(thread):
                        manager.drain()
                        # Of a round that was whole just before, one word may still come.
                        deadline = time.monotonic() + 6 * WATCHDOG_US / 1e6
                        told = []
                        while time.monotonic() < deadline:
                            told += manager.drain()
                            time.sleep(0.02)
                        self.assertLessEqual(told.count("WATCHDOG=1"), 1, "core %d" % core)
                    manager.wait_for("WATCHDOG=1")
                    manager.wait_for("WATCHDOG=1")
                    self.assertEqual(server.stop(), 0)

    def test_a_watchdog_of_another_process_is_not_fed(self):
        with Manager() as manager:
            variables = {**manager.variables, "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}
            with harness.Server("--memory", variables=variables) as server:
                server.ask("PUT", "/v1/stream/s")
                self.assertEqual(server.stop(), 0)
            self.assertEqual([line for line in manager.drain() if "WATCHDOG" in line], [])


if __name__ == "__main__":
    harness.main()
