#!/usr/bin/env python3
"""The Debian package, installed, upgraded and removed in a root of its own; its unit; the container
file. What the machine has no program for is skipped, and said."""
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

import container
import debian_tree
import harness

DEB = os.path.abspath(os.environ["URSULA_DEB"])
CONTAINERFILE = pathlib.Path(os.environ["URSULA_CONTAINERFILE"])
SECCOMP_PROFILE = pathlib.Path("/usr/share/containers/seccomp.json")  # podman's.
EXPOSURE_MAX = 20  # systemd's figure is 1.5 of 10; it counts tenths here.


def run(*command):
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"  # dpkg wants them.
    return subprocess.run(command, capture_output=True, text=True, check=False,
                          env=harness.environment(PATH=path))


def needs(test, program):
    if shutil.which(program) is None:
        test.skipTest("not here: " + program)


class Root:
    """Where dpkg installs: an empty system whose maintainer scripts run outside of it."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="ursula-")
        self.path = pathlib.Path(self.folder.name, "root")
        for name in ("info", "updates", "triggers"):
            (self.path / "var/lib/dpkg" / name).mkdir(parents=True)
        for name in ("status", "available"):
            (self.path / "var/lib/dpkg" / name).touch()
        self.data = self.path / "var/lib/ursulad"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def dpkg(self, *arguments):
        # What it depends on is the machine's, not the root's.
        done = run("dpkg", "--root=%s" % self.path, "--force-script-chrootless", "--force-depends",
                   "--force-not-root", "--force-confold", *arguments)
        if done.returncode != 0:
            raise AssertionError("dpkg %s: %s" % (" ".join(map(str, arguments)), done.stderr))

    def state(self):
        done = run("dpkg-query", "--admindir=%s/var/lib/dpkg" % self.path, "-W",
                   "-f=${Version} ${db:Status-Status}", "ursulad")
        return done.stdout

    def unit(self):
        """The unit's settings, the last of each name."""
        text = (self.path / "lib/systemd/system/ursulad.service").read_text()
        return dict(line.split("=", 1) for line in text.splitlines()
                    if "=" in line and line[0] != "#")

    def server(self):
        """As the unit starts it, but in the root, and on free ports."""
        command = shlex.split(self.unit()["ExecStart"])
        flags = [str(self.path) + word if word.startswith("/etc/") else word for word in command[1:]]
        return harness.Server(*flags, data_dir=str(self.data),
                              binary=str(self.path) + command[0])

    def enabled(self):
        link = self.path / "etc/systemd/system/multi-user.target.wants/ursulad.service"
        return link.is_symlink()


def upgraded(folder):
    """The same package, of the next version."""
    content = os.path.join(folder, "content")
    run("dpkg-deb", "-R", DEB, content)
    control = pathlib.Path(content, "DEBIAN/control")
    control.write_text(re.sub(r"(?m)^Version: .*$", "Version: 99.0", control.read_text()))
    # A configuration file that changed between the two, which the user changed too.
    settings = pathlib.Path(content, "etc/ursulad/ursulad.toml")
    settings.write_text(settings.read_text() + "# new\n")
    path = os.path.join(folder, "upgraded.deb")
    run("dpkg-deb", "--root-owner-group", "-b", content, path)
    return path


class Package(unittest.TestCase):
    def test_its_fields_and_files_are_in_order(self):
        fields = run("dpkg-deb", "-f", DEB).stdout
        self.assertRegex(fields, r"(?m)^Package: ursulad$")
        version = run(harness.ursulad_path, "--version").stdout.split()[1]
        self.assertRegex(fields, r"(?m)^Version: %s$" % re.escape(version))
        self.assertRegex(fields, r"(?m)^Depends: .*libc6 \(>= 2\.36\).*libstdc\+\+6 \(>= 12\)")
        names = set()
        for line in run("dpkg-deb", "-c", DEB).stdout.splitlines():
            mode, owner, _, _, _, name = line.split(None, 5)
            self.assertEqual(owner, "root/root", line)
            self.assertNotIn("w", mode[4:], line)  # Nobody else may write there.
            names.add(name)
        self.assertTrue({"./usr/bin/ursulad", "./usr/bin/ursulactl",
                         "./usr/share/doc/ursulad/alerts.yml", "./lib/systemd/system/ursulad.service",
                         "./etc/ursulad/ursulad.toml", "./usr/share/doc/ursulad/copyright",
                         "./usr/share/doc/ursulad/OPERATING.md"} <= names)
        self.assertFalse([name for name in names if name.startswith("./var")])

    def test_every_library_it_needs_is_in_a_package_it_depends_on(self):
        depends = re.search(r"(?m)^Depends: (.*)$", run("dpkg-deb", "-f", DEB).stdout)[1]
        packages = [word.split()[0] for word in depends.split(",")]
        owned = run("dpkg-query", "-L", *packages).stdout.split()
        owned = {os.path.basename(path) for path in owned}
        with Root() as root:
            root.dpkg("-i", DEB)
            needed = run("objdump", "-p", root.path / "usr/bin/ursulad",
                         root.path / "usr/bin/ursulactl").stdout
            told = run(root.path / "usr/bin/ursulactl", "--version").stdout
            self.assertEqual(told.split()[1],
                             run(harness.ursulad_path, "--version").stdout.split()[1])
        libraries = re.findall(r"NEEDED +(\S+)", needed)
        self.assertIn("libc.so.6", libraries)
        self.assertEqual([name for name in libraries if name not in owned], [])

    def test_installed_started_upgraded_removed_and_purged_the_data_stays(self):
        with Root() as root:
            root.dpkg("-i", DEB)
            self.assertTrue(root.enabled())
            with root.server() as server:
                self.assertEqual(server.ask("PUT", "/v1/stream/s")[0], 201)
                self.assertEqual(server.append("/v1/stream/s", b"before;")[0], 204)
                self.assertEqual(server.stop(), 0)
            settings = root.path / "etc/ursulad/ursulad.toml"
            settings.write_text(settings.read_text() + "\nlong_poll_timeout_ms = 1234\n")

            root.dpkg("-i", upgraded(root.folder.name))
            self.assertEqual(root.state(), "99.0 installed")
            self.assertIn("1234", settings.read_text())
            with root.server() as server:
                self.assertEqual(server.read_all("/v1/stream/s"), b"before;")
                self.assertEqual(server.append("/v1/stream/s", b"after;")[0], 204)
                self.assertEqual(server.stop(), 0)

            root.dpkg("-r", "ursulad")
            self.assertFalse((root.path / "usr/bin/ursulad").exists())
            self.assertTrue(settings.exists())
            root.dpkg("-P", "ursulad")
            self.assertFalse(settings.exists())
            self.assertFalse(root.enabled())
            self.assertEqual(root.state(), "")

            root.dpkg("-i", DEB)
            with root.server() as server:
                self.assertEqual(server.read_all("/v1/stream/s"), b"before;after;")

    def test_who_disabled_it_finds_it_disabled_after_an_upgrade(self):
        with Root() as root:
            root.dpkg("-i", DEB)
            (root.path / "etc/systemd/system/multi-user.target.wants/ursulad.service").unlink()
            root.dpkg("-i", upgraded(root.folder.name))
            self.assertFalse(root.enabled())


class Unit(unittest.TestCase):
    def test_systemd_takes_every_line_of_it(self):
        needs(self, "systemd-analyze")
        with Root() as root:
            root.dpkg("-i", DEB)
            for target in pathlib.Path("/lib/systemd/system").glob("*.target"):
                shutil.copy(target, root.path / "lib/systemd/system")
            done = run("systemd-analyze", "verify", "--root=%s" % root.path, "ursulad.service")
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_it_exposes_little(self):
        needs(self, "systemd-analyze")
        with Root() as root:
            root.dpkg("-i", DEB)
            done = run("systemd-analyze", "security", "--offline=true",
                       "--threshold=%d" % EXPOSURE_MAX,
                       root.path / "lib/systemd/system/ursulad.service")
            self.assertEqual(done.returncode, 0, done.stdout[-200:] + done.stderr)

    def allowed(self, unit):
        """The system calls of the unit's filter, whose sets systemd names."""
        sets = {}
        name = None
        for line in run("systemd-analyze", "syscall-filter").stdout.splitlines():
            if line.startswith("@"):
                name = line.strip()
                sets[name] = []
            elif name and line.startswith("    ") and "#" not in line:
                sets[name].append(line.strip())

        def expand(name):
            if not name.startswith("@"):
                return {name}
            return set().union(*map(expand, sets[name]))

        calls = set()
        for value in re.findall(r"(?m)^SystemCallFilter=(.*)$", unit):
            calls = calls - expand(value[1:]) if value[0] == "~" else calls | expand(value)
        return calls

    def trace(self, folder, process):
        """Whole once it says how the process ended."""
        file = pathlib.Path(folder, "trace.%d" % process)
        end = re.compile(r"(?m)^%d +\+\+\+ exited with 0 \+\+\+$" % process)  # A short number is padded.
        harness.wait_until(lambda: end.search(file.read_text()))
        return file.read_text()

    def test_its_filter_has_every_system_call_in_it(self):
        needs(self, "strace")
        needs(self, "systemd-analyze")
        with Root() as root, tempfile.TemporaryDirectory(prefix="ursula-") as folder:
            root.dpkg("-i", DEB)
            calls = self.allowed((root.path / "lib/systemd/system/ursulad.service").read_text())
            self.assertIn("io_uring_enter", calls)
            wrapper = pathlib.Path(folder, "ursulad")
            # -D: what is started is the server, and strace its grandchild.
            wrapper.write_text("#!/bin/sh\nexec strace -D -f -o %s/trace.$$ %s/usr/bin/ursulad "
                               "\"$@\"\n" % (folder, root.path))
            wrapper.chmod(0o755)
            notify = os.path.join(folder, "nobody")
            with harness.Server("--pin-threads", admin=True, binary=str(wrapper),
                                data_dir=os.path.join(folder, "data"),
                                variables={"NOTIFY_SOCKET": notify,
                                           "WATCHDOG_USEC": "100000"}) as server:
                server.ask("PUT", "/v1/stream/s")
                for _ in range(20):
                    server.append("/v1/stream/s", b"x" * 100000)
                server.read_all("/v1/stream/s")
                server.ask("GET", "/metrics", port=server.admin_port())
                self.assertEqual(server.stop(), 0)
                first = server.process.pid
                server.start()
                self.assertEqual(server.stop(), 0)
                text = "".join(self.trace(folder, pid) for pid in (first, server.process.pid))
            used = set(re.findall(r"(?m)^\d+ +(\w+)\(", text))
            self.assertIn("io_uring_setup", used)
            # The program's own start, before the filter.
            self.assertEqual(used - calls - {"execve"}, set())
            self.assertNotRegex(text, r"PROT_WRITE\|PROT_EXEC")  # MemoryDenyWriteExecute.


class Container(unittest.TestCase):
    def words(self, instruction):
        found = re.search(r"(?m)^%s (\[.*\])$" % instruction, CONTAINERFILE.read_text())
        return json.loads(found[1])

    def test_what_it_starts_starts(self):
        entry, more = self.words("ENTRYPOINT"), self.words("CMD")
        with tempfile.TemporaryDirectory(prefix="ursula-") as folder:
            data = os.path.join(folder, "data")
            flags = [re.sub(r":\d+$", ":0", word) for word in entry[1:] + more]
            flags[flags.index("/var/lib/ursulad")] = data
            process = subprocess.Popen([harness.ursulad_path, *flags], stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True,
                                       env=harness.environment())
            self.assertRegex(process.stdout.readline(), r"^listening on http://0\.0\.0\.0:\d+\n$")
            process.terminate()
            self.assertEqual(process.wait(harness.PATIENCE_S), 0)
            process.stdout.close()
        self.assertIn("COPY ursulad.deb ", CONTAINERFILE.read_text())
        self.assertEqual(entry[0], "/usr/bin/ursulad")

    def build(self, engine, base):
        """The Containerfile's image, but that it begins with `base`."""
        text, found = re.subn(r"(?m)^FROM \S+$", "FROM " + base, CONTAINERFILE.read_text())
        self.assertEqual(found, 1)
        with tempfile.TemporaryDirectory(prefix="ursula-") as folder:
            shutil.copy(DEB, os.path.join(folder, "ursulad.deb"))
            pathlib.Path(folder, "Containerfile").write_text(text)
            return engine.build(folder)

    def usage(self):
        """What the Containerfile says to run it with: (flags, port, where the volume belongs)."""
        found = re.search(r"(?m)^# +podman run (.+) -p 127\.0\.0\.1:(\d+):\2 -v ursula:(\S+) ursulad$",
                          CONTAINERFILE.read_text())
        self.assertIsNotNone(found, "how to run it")
        return found[1].split(), int(found[2]), found[3]

    def allowing(self, folder):
        """The flag that lets it have io_uring, as the package's guide says."""
        if not SECCOMP_PROFILE.exists():
            return "--security-opt=seccomp=unconfined"  # Docker has its profile in itself.
        run("dpkg-deb", "-x", DEB, folder)
        guide = pathlib.Path(folder, "usr/share/doc/ursulad/OPERATING.md").read_text()
        rule = re.search(r"jq '\.syscalls \+= (\[.+\])'", guide)[1]
        profile = json.loads(SECCOMP_PROFILE.read_text())
        profile["syscalls"] += json.loads(rule)
        path = pathlib.Path(folder, "seccomp.json")
        path.write_text(json.dumps(profile))
        return "--security-opt=seccomp=%s" % path

    def refused(self, engine):
        """Whether the engine's own profile is one here, and refuses io_uring."""
        if engine.name != "podman" or not SECCOMP_PROFILE.exists():
            return False
        rules = json.loads(SECCOMP_PROFILE.read_text())["syscalls"]
        return not any("io_uring_setup" in rule["names"] for rule in rules
                       if rule["action"] == "SCMP_ACT_ALLOW")

    def confined(self, served):
        """As the Containerfile's user, who may do nothing else, and with a root that nobody writes."""
        status = served.inside("cat", "/proc/1/status")
        self.assertRegex(status, r"(?m)^Uid:\t65532\t65532\t65532\t65532$")
        self.assertRegex(status, r"(?m)^Gid:\t65532\t65532\t65532\t65532$")
        self.assertRegex(status, r"(?m)^CapEff:\t0+$")
        with self.assertRaisesRegex(container.Failed, "Read-only file system"):
            served.inside("touch", "/usr/new", user="0")

    def test_it_builds_and_serves(self):
        engine, base = container.engine_with_base(self, debian_tree.depends_of(DEB))
        image = self.build(engine, base)
        self.assertRegex(engine.once(image, "--version"), r"^ursulad \d")
        flags, port, place = self.usage()
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="ursula-"))
        flags += ["-p", "127.0.0.1::%d" % port, "-v", "%s:%s" % (engine.volume(), place)]
        served = engine.start(image, *flags)
        if self.refused(engine) or not served.serves(port):
            self.assertFalse(served.serves(port), "a profile that refuses io_uring isn't in force")
            self.assertEqual(served.status(), 1)
            self.assertRegex(served.logs(), r"can't start: io_uring is needed, but io_uring_\w+ failed: "
                             r".* seccomp .*allow io_uring_setup, io_uring_enter and io_uring_register")
            served.remove()
            flags.append(self.allowing(folder))
            served = engine.start(image, *flags)
            self.assertTrue(served.serves(port), served.logs())
        self.assertEqual(served.host, "127.0.0.1")
        self.confined(served)
        self.assertEqual(served.ask("PUT", "/v1/stream/s")[0], 201)
        self.assertEqual(served.append("/v1/stream/s", b"before;")[0], 204)
        self.assertEqual(served.stop(), 0, served.logs())
        served.remove()

        # Another container of the image: what it has, the volume kept.
        served = engine.start(image, *flags)
        self.assertTrue(served.serves(port), served.logs())
        self.assertEqual(served.read_all("/v1/stream/s"), b"before;")
        self.assertEqual(served.append("/v1/stream/s", b"after;")[0], 204)
        self.assertEqual(served.read_all("/v1/stream/s"), b"before;after;")
        self.assertEqual(served.stop(), 0, served.logs())


if __name__ == "__main__":
    harness.main()
