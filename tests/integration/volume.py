"""File systems of a test's own: on a disk that loses power or fails, or small enough to be full.

They are mounted in a mount namespace of the test's own, so that nobody else sees them and they go
with it, however it ends. `unavailable()` says which privilege is missing, or "".
"""
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import harness

_CLONE_NEWNS = 0x00020000
_MS_REC_PRIVATE = 0x4000 | 0x40000
_libc = ctypes.CDLL(None, use_errno=True)
_in_namespace = False


def unavailable(kinds=("ext4", "xfs")):
    if os.geteuid() != 0:
        return "root, to mount file systems"
    for device in ("/dev/fuse", "/dev/loop-control"):
        try:
            os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            return "%s (%s)" % (device, error.strerror)
    for tool in ["losetup", "mount", "umount"] + ["mkfs." + kind for kind in kinds]:
        if _tool(tool) is None:
            return "the program " + tool
    return _enter_namespace()


def _tool(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin")


def _enter_namespace():
    global _in_namespace
    if _in_namespace:
        return ""
    if _libc.unshare(_CLONE_NEWNS) != 0 or _libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None):
        return "a mount namespace (%s)" % os.strerror(ctypes.get_errno())
    _in_namespace = True
    return ""


def run(tool, *arguments):
    path = _tool(tool)
    process = subprocess.run([path or tool, *arguments], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
    if process.returncode != 0:
        raise AssertionError("%s %s: %s" % (tool, " ".join(arguments), process.stdout))
    return process.stdout.strip()


def parse_report(text):
    return {name: int(number) for name, number in (word.split("=") for word in text.split())}


class PowerDisk:
    """A tests/support/power_disk; `program` is its path."""

    def __init__(self, program, directory, megabytes):
        self.directory = pathlib.Path(directory)
        self.process = subprocess.Popen([program, str(directory), str(megabytes)], text=True,
                                        stdout=subprocess.PIPE)
        if self.process.stdout.readline() != "ready\n":
            self.process.wait()
            raise AssertionError("power_disk did not start")

    def command(self, text):
        with open(self.directory / "control", "wb", buffering=0) as control:
            control.write(text.encode())

    def hang(self):
        """It answers nothing, until it goes on."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def report(self):
        """Its counters, as {name: number}."""
        return parse_report((self.directory / "control").read_text())

    def close(self):
        self.process.terminate()
        self.process.wait(harness.PATIENCE_S)
        self.process.stdout.close()


class Volume:
    """A file system of `kind` on a power disk, mounted at `path`."""

    def __init__(self, program, kind, megabytes=512):
        self._directory = tempfile.TemporaryDirectory(prefix="ursula-volume-")
        root = pathlib.Path(self._directory.name)
        self.path = root / "files"
        for folder in (root / "disk", self.path):
            folder.mkdir()
        self.disk = PowerDisk(program, root / "disk", megabytes)
        self._mounted = False
        device = self._attach()
        try:
            run("mkfs." + kind, "-q", device)
        finally:
            run("losetup", "--detach", device)
        self.mount()

    def _attach(self):
        return run("losetup", "--find", "--show", str(self.disk.directory / "disk"))

    def mount(self):
        """Replays the file system's journal, if it has to be."""
        device = self._attach()
        try:
            run("mount", device, str(self.path))
            self._mounted = True
        finally:
            run("losetup", "--detach", device)  # Or once it is unmounted.

    def unmount(self):
        # The rings of a process that has just died may hold files a little longer than it lived.
        def unmounted():
            try:
                run("umount", str(self.path))
                return True
            except AssertionError as error:
                if "busy" not in str(error):
                    raise
                return False
        harness.wait_until(unmounted)
        self._mounted = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._mounted:
            self.unmount()
        self.disk.close()
        self._directory.cleanup()
