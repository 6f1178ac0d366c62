#!/usr/bin/env python3
"""The Debian package on a machine that systemd runs: installed, started, killed, hung, upgraded,
rebooted and removed. Nothing comes from a network."""
import os
import pathlib
import resource
import shutil
import tempfile
import unittest

import debian_tree
import harness
import machine
import network

DEB = os.path.abspath(os.environ["URSULA_DEB"])
STREAM = "/v1/stream/s"
DROP_IN = "etc/systemd/system/ursulad.service.d/test.conf"


class SystemdTest(unittest.TestCase):
    def setUp(self):
        missing = machine.unavailable() or network.unavailable()
        if missing:
            self.skipTest("needs " + missing)
        folder = tempfile.mkdtemp(prefix="ursula-")
        self.addCleanup(shutil.rmtree, folder)  # After the machine has gone, and its mounts.
        self.root = pathlib.Path(folder, "root")
        self.root.mkdir()
        try:
            debian_tree.make(self.root, "apt", "systemd", "systemd-sysv",
                             *debian_tree.depends_of(DEB))
        except debian_tree.Missing as missing:
            self.skipTest("not here: %s" % missing)
        (self.root / "srv").mkdir(exist_ok=True)
        shutil.copy(DEB, self.root / "srv/ursulad.deb")
        self.machine = self.enterContext(machine.Machine(self.root))
        self.machine.run("apt-get", "install", "-y", "/srv/ursulad.deb")
        self.client = harness.Client(4437)
        self.await_active()

    def await_active(self):
        """It has said READY=1, and serves."""
        harness.wait_until(lambda: self.machine.show("ActiveState") == "active")

    def drop_in(self, text):
        path = self.root / DROP_IN
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        self.machine.run("systemctl", "daemon-reload")

    def append(self, body):
        if self.client.ask("HEAD", STREAM)[0] == 404:
            self.assertEqual(self.client.ask("PUT", STREAM)[0], 201)
        self.assertEqual(self.client.append(STREAM, body)[0], 204)

    def holds(self, body):
        self.assertEqual(self.client.read_all(STREAM), body)

    def inside(self, name):
        """A file of the main process in /proc, as the machine has it."""
        return self.machine.run("cat", "/proc/%s/%s" % (self.machine.show("MainPID"), name))

    def test_it_starts_when_it_is_ready_as_nobody_and_stops_clean(self):
        self.append(b"one;")
        status = self.inside("status")
        self.assertNotRegex(status, r"(?m)^Uid:\t0\b")
        self.assertRegex(status, r"(?m)^CapEff:\t0+$")
        self.assertRegex(status, r"(?m)^NoNewPrivs:\t1$")
        self.assertRegex(status, r"(?m)^Seccomp:\t2$")
        _, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)  # More this machine may not give.
        files = 1048576 if allowed == resource.RLIM_INFINITY else min(1048576, allowed)
        self.assertRegex(self.inside("limits"), r"Max open files +%d +%d" % (files, files))
        self.machine.run("systemctl", "stop", "ursulad")
        self.assertEqual(self.machine.show("Result"), "success")
        self.assertEqual(self.machine.show("ExecMainStatus"), "0")
        self.machine.run("systemctl", "start", "ursulad")  # Returns once it is ready.
        self.holds(b"one;")
        self.assertEqual((self.root / "var/lib/private/ursulad").stat().st_mode & 0o777, 0o700)

    def test_what_is_killed_or_hangs_is_started_again(self):
        self.append(b"one;")
        self.machine.run("systemctl", "kill", "--signal=SIGKILL", "ursulad")
        harness.wait_until(lambda: self.machine.show("NRestarts") == "1")
        self.await_active()
        self.holds(b"one;")
        self.drop_in("[Service]\nWatchdogSec=1\nTimeoutAbortSec=1\n")
        self.machine.run("systemctl", "restart", "ursulad")
        self.machine.run("systemctl", "kill", "--signal=SIGSTOP", "ursulad")
        harness.wait_until(lambda: "Watchdog timeout" in self.machine.journal())
        harness.wait_until(lambda: self.machine.show("NRestarts") == "1")  # Of this start.
        self.await_active()
        self.holds(b"one;")

    def test_a_mistake_in_the_configuration_is_not_tried_again(self):
        with open(self.root / "etc/ursulad/ursulad.toml", "a", encoding="utf-8") as file:
            file.write("no_such_option = 1\n")
        self.machine.run("systemctl", "restart", "ursulad", check=False)
        self.assertEqual(self.machine.show("ActiveState"), "failed")
        self.assertEqual(self.machine.show("ExecMainStatus"), "2")
        self.assertEqual(self.machine.show("NRestarts"), "0")
        self.assertIn("no_such_option", self.machine.journal())

    def test_a_reboot_an_upgrade_a_removal_and_a_purge_keep_the_data(self):
        self.append(b"one;")
        self.machine.power_off()
        self.machine.boot()
        self.await_active()
        self.holds(b"one;")

        before = self.machine.show("MainPID")
        self.machine.run("sh", "-ec", "dpkg-deb -R /srv/ursulad.deb /srv/new\n"
                         "sed -i 's/^Version: .*/Version: 99.0/' /srv/new/DEBIAN/control\n"
                         "dpkg-deb -b /srv/new /srv/new.deb\n"
                         "apt-get install -y /srv/new.deb")
        self.await_active()
        self.assertNotEqual(self.machine.show("MainPID"), before)
        self.holds(b"one;")

        for how in ("remove", "purge"):
            self.machine.run("apt-get", how, "-y", "ursulad")
            self.assertEqual(self.machine.show("ActiveState"), "inactive")
            self.assertTrue((self.root / "var/lib/private/ursulad/META").exists())
        self.machine.run("apt-get", "install", "-y", "/srv/ursulad.deb")
        self.await_active()
        self.holds(b"one;")


if __name__ == "__main__":
    harness.main()
