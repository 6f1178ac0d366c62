"""A machine of a test's own, whose process 1 is systemd: in namespaces, on a folder as its root, in a
control group of its own. The network is the test's (network.py), so its services are asked at
127.0.0.1. `unavailable()` says what is missing, or "".
"""
import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile

import harness

_ENVIRONMENT = ["env", "-i", "container=ursula", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
_SYSTEMD = "/lib/systemd/systemd"
# What becomes process 1. The kernel's own settings are all machines': they can't be written there.
_BOOT = """set -e
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
shift
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 dev dev
for name in null zero full random urandom tty; do
  touch "dev/$name"
  mount --bind "/dev/$name" "dev/$name"
done
mkdir dev/shm dev/pts
mount -t tmpfs -o mode=1777 shm dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=755 run run
mkdir run/machine
pivot_root . run/machine
umount -l /run/machine
exec </dev/null >>/console 2>&1
exec "$@"
"""


def unavailable():
    if os.geteuid() != 0:
        return "root, to start systemd in namespaces"
    for tool in ("setpriv", "unshare", "nsenter", "pivot_root"):
        if shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None:
            return "the program " + tool
    try:
        with _group():
            return ""
    except OSError as error:
        return "a control group of the second version (%s)" % error


@contextlib.contextmanager
def _group():
    """A new control group, below the root of the second version's."""
    folder = tempfile.mkdtemp(prefix="ursula-")
    try:
        done = subprocess.run(["mount", "-t", "cgroup2", "cgroup2", folder], capture_output=True,
                              text=True, check=False)
        if done.returncode != 0:
            raise OSError(done.stderr.strip())
        try:
            group = pathlib.Path(tempfile.mkdtemp(prefix="ursula-", dir=folder))
            try:
                yield group
            finally:
                _remove(group)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)
    finally:
        os.rmdir(folder)


def _remove(group):
    """With those below it; what was in them has been killed, and goes any moment."""
    def gone():
        for path, _, _ in os.walk(group, topdown=False):
            try:
                os.rmdir(path)
            except OSError:
                return False
        return True
    harness.wait_until(gone)


class Machine:
    """REQUIRES: `unavailable()` has said ""."""

    def __init__(self, root):
        self.root = root
        self._stack = contextlib.ExitStack()
        self._group = self._stack.enter_context(_group())
        self._holder = None

    def __enter__(self):
        try:
            self.boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self._holder is not None:
            self._holder.kill()  # unshare, and with it all that is in there.
            self._holder.wait()
        self._stack.close()

    def boot(self):
        group = self._group / "cgroup.procs"
        self._holder = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL",  # A test that is killed leaves none behind.
             "unshare", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--cgroup",
             "sh", "-c", _BOOT, "sh", str(self.root), *_ENVIRONMENT, _SYSTEMD],
            preexec_fn=lambda: group.write_text(str(os.getpid())), cwd="/")
        children = pathlib.Path("/proc/%d/task/%d/children" % (2 * (self._holder.pid,)))
        harness.wait_until(lambda: self._ended() or children.read_text().strip())
        self.first = int(children.read_text())
        harness.wait_until(lambda: self._ended() or (self.root / "run").exists() and self.run(
            "systemctl", "is-system-running", check=False).strip() in ("running", "degraded"))

    def _ended(self):
        if self._holder.poll() is not None:
            raise AssertionError("systemd has ended: " + self.console()[-4000:])
        return False

    def power_off(self):
        """As an operator does: services are stopped first."""
        self.run("systemctl", "poweroff", check=False)
        self._holder.wait(harness.PATIENCE_S)
        self._holder = None

    def console(self):
        path = self.root / "console"
        return path.read_text() if path.exists() else ""

    def run(self, *command, check=True):
        done = subprocess.run(["nsenter", "--target", str(self.first), "--mount", "--pid", "--uts",
                               "--ipc", "--cgroup", *_ENVIRONMENT, *command], capture_output=True,
                              text=True, check=False, timeout=harness.PATIENCE_S)
        if check and done.returncode != 0:
            raise AssertionError("%s: %s%s" % (" ".join(command), done.stdout[-2000:],
                                               done.stderr[-2000:]))
        return done.stdout

    def show(self, name, unit="ursulad.service"):
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", "--property=" + name, unit).strip()

    def journal(self, unit="ursulad.service"):
        return self.run("journalctl", "--no-pager", "--output=cat", "--unit=" + unit)
