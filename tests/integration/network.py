"""A network of a test's own: each node in a network namespace, joined by a bridge, and links that
can be cut in one direction or both, be slow or lose what they are sent.

The test's process moves into a network namespace too, where the bridge is: all of it goes with the
processes, however they end. Clients reach nodes by links of their own, on which nothing is cut.
`unavailable()` says what is missing, or "".
"""
import ctypes
import os
import shutil
import subprocess

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_NOBODY = "02:00:00:00:00:ff"  # A station that isn't there: what is sent to it is lost unnoticed.
_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin"
_in_namespace = False


def unavailable():
    if os.geteuid() != 0:
        return "root, to make networks"
    for tool in ("ip", "tc"):
        if shutil.which(tool, path=_PATH) is None:
            return "the program " + tool
    return _enter_namespace()


def _enter_namespace():
    global _in_namespace
    if not _in_namespace:
        if _libc.unshare(_CLONE_NEWNET) != 0:
            return "a network namespace (%s)" % os.strerror(ctypes.get_errno())
        _in_namespace = True
        _run("ip", "link", "set", "lo", "up")
    return ""


def _run(tool, *arguments, before=None):
    process = subprocess.run([shutil.which(tool, path=_PATH), *arguments], preexec_fn=before,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if process.returncode != 0:
        raise AssertionError("%s %s: %s" % (tool, " ".join(arguments), process.stdout))
    return process.stdout


class Network:
    """REQUIRES: `unavailable()` has said "". One at a time."""

    def __init__(self, count):
        self.nodes = range(1, count + 1)
        _run("ip", "link", "add", "peers", "type", "bridge")
        _run("ip", "link", "set", "peers", "up")
        self.holders = {}  # A process in each namespace, which keeps it.
        self.spaces = {}
        for node in self.nodes:
            self.holders[node] = subprocess.Popen(
                ["sleep", "infinity"], preexec_fn=lambda: _libc.unshare(_CLONE_NEWNET))
            self.spaces[node] = os.open("/proc/%d/ns/net" % self.holders[node].pid, os.O_RDONLY)
            self._wire(node)
        for node in self.nodes:
            for other in self.nodes:
                if node != other:
                    self.heal(node, other)

    def _wire(self, node):
        space = str(self.holders[node].pid)
        _run("ip", "link", "add", "p%d" % node, "type", "veth", "peer", "name", "peers", "address",
             self._station(node), "netns", space)
        _run("ip", "link", "set", "p%d" % node, "master", "peers", "up")
        _run("ip", "link", "add", "c%d" % node, "type", "veth", "peer", "name", "clients", "netns",
             space)
        _run("ip", "address", "add", "10.78.%d.2/24" % node, "dev", "c%d" % node)
        _run("ip", "link", "set", "c%d" % node, "up")
        self._inside(node, "ip", "link", "set", "lo", "up")
        for device, address in (("peers", self.peer_host(node)),
                                ("clients", self.client_host(node))):
            self._inside(node, "ip", "address", "add", address + "/24", "dev", device)
            self._inside(node, "ip", "link", "set", device, "up")

    def _station(self, node):
        return "02:00:00:00:00:%02x" % node

    def _inside(self, node, tool, *arguments):
        return _run(tool, *arguments, before=self.entrance(node))

    def peer_host(self, node):
        return "10.77.0.%d" % node

    def client_host(self, node):
        return "10.78.%d.1" % node

    def entrance(self, node):
        """To be called in a new process: moves it to the node's namespace."""
        def enter():
            if _libc.setns(self.spaces[node], _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        return enter

    def cut(self, node, other):
        """What `node` sends to `other` is lost from now on."""
        self._send_to(node, other, _NOBODY)

    def heal(self, node, other):
        self._send_to(node, other, self._station(other))

    def _send_to(self, node, other, station):
        self._inside(node, "ip", "neighbour", "replace", self.peer_host(other), "lladdr", station,
                     "dev", "peers", "nud", "permanent")

    def slow(self, node, rate, queue_bytes):
        """What `node` sends to its peers goes at `rate` (of tc), and is lost beyond a queue."""
        self._inside(node, "tc", "qdisc", "replace", "dev", "peers", "root", "tbf", "rate", rate,
                     "burst", "5000", "limit", str(queue_bytes))

    def quick(self, node):
        self._inside(node, "tc", "qdisc", "delete", "dev", "peers", "root")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            _run("ip", "link", "delete", "p%d" % node)
            _run("ip", "link", "delete", "c%d" % node)
            os.close(self.spaces[node])
            self.holders[node].kill()
            self.holders[node].wait()
        _run("ip", "link", "delete", "peers")
