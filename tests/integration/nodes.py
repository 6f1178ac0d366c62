"""Clusters of real ursulad processes."""
import hashlib
import hmac
import json
import os
import random
import re
import signal
import socket
import tempfile

import harness

# Of node processes that run side by side on a small machine.
SMALL = ["--core-count", "1", "--wal-bytes-max", "192MiB", "--body-bytes-max", "4MiB",
         "--hot-bytes-max", "16MiB", "--busy-poll-us", "0"]
SECRET = "0123456789abcdef"


def free_ports(count):
    """Ports that nobody listens on now, below those that the kernel gives to clients."""
    held = []
    try:
        while len(held) < count:
            candidate = socket.socket()
            held.append(candidate)
            try:
                candidate.bind(("127.0.0.1", random.randrange(20000, 32000)))
            except OSError:
                held.pop().close()
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


class Cluster:
    """`count` nodes, numbered from 1, with their directories in one of this object's. `each`: more
    flags of single nodes; `variables`: of all in their environment, "%d" is the node; `homes`:
    directories of single nodes. `network`: the network.Network that they are in, else loopback.
    `founders`: only the first so many are there and know of each other; see `name_all`, `begin`."""

    def __init__(self, count=3, flags=(), groups=8, each=None, wait=True, network=None,
                 fixed_ports=False, small=True, variables=None, homes=None, founders=None):
        self.homes = homes or {}
        self.directory = tempfile.TemporaryDirectory(prefix="ursula-cluster-")
        self.network = network
        self.peer_ports = free_ports(count)
        self.flags = [*(SMALL if small else ()), "--raft-group-count", str(groups), *flags]
        if network is not None:
            self.flags += ["--allow-unauthenticated", "--cluster-secret-file", self.secret()]
        self.ports = free_ports(count) if fixed_ports else [0] * count
        self.each, self.variables, self.nodes = each or {}, variables or {}, {}
        self.named = founders or count  # Nodes that --peers names.
        for node in range(1, self.named + 1):
            self.begin(node)
        for node in self.nodes.values() if wait else ():
            node.await_listening()

    def begin(self, node):
        """The node's first start. It isn't waited for."""
        more = {} if self.network is None else {"host": self.network.client_host(node),
                                                "before": self.network.entrance(node)}
        self.nodes[node] = harness.Server(
            *self.flags, *self.place(node), *self.each.get(node, []),
            data_dir=self.data_dir(node), admin=True, wait=False, port=self.ports[node - 1],
            variables={name: value.replace("%d", str(node))
                       for name, value in self.variables.items()}, **more)

    def name_all(self):
        """Restarts those that are there, one after the other, with all nodes among their peers."""
        self.named = len(self.peer_ports)
        for node, server in self.nodes.items():
            server.stop()
            server.flags += self.place(node)
            server.start()
            self.await_leaders()

    def secret(self):
        path = os.path.join(self.directory.name, "secret")
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(SECRET)
        return path

    def peer_address(self, node):
        host = "127.0.0.1" if self.network is None else self.network.peer_host(node)
        return "%s:%d" % (host, self.peer_ports[node - 1])

    def data_dir(self, node):
        return os.path.join(self.homes.get(node, self.directory.name), "node-%d" % node)

    def place(self, node):
        """The options that say which node this is."""
        peers = ",".join("%d=%s" % (peer, self.peer_address(peer))
                         for peer in range(1, self.named + 1))
        return ["--node-id", str(node), "--peers", peers, "--peer-listen", self.peer_address(node)]

    def __getitem__(self, node):
        return self.nodes[node]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        crashed = {node: server.log_text()[-2000:] for node, server in self.nodes.items()
                   if server.process.poll() in (-signal.SIGABRT, -signal.SIGSEGV)}
        for node in self.nodes.values():
            node.__exit__()
        self.directory.cleanup()
        if crashed and kind is None:
            raise AssertionError("nodes crashed: %s" % crashed)

    def ask_admin(self, node, target, method="GET"):
        server = self.nodes[node]
        port = server.admin_port()
        status, headers, body = server.ask(method, target, port=port)
        if status == 401:
            proof = self.proof(headers["WWW-Authenticate"], method, target)
            status, headers, body = server.ask(method, target, headers=proof, port=port)
        return status, body.decode()

    def proof(self, challenge, method, target):
        """That we know the secret (docs/operating/admin.md), of a request without a body."""
        node, nonce = re.search(r'node="(\d+)", nonce="([0-9a-f]+)"', challenge).groups()
        text = "\n".join(["ursula admin request", node, nonce, method, target,
                          hashlib.sha256(b"").hexdigest(), ""])
        mac = hmac.new(SECRET.encode(), text.encode(), "sha256").hexdigest()
        return {"Authorization": 'Ursula-HMAC-SHA256 nonce="%s", mac="%s"' % (nonce, mac)}

    def readiness(self, node):
        return self.ask_admin(node, "/readyz")

    def await_text(self, node, text):
        """What /readyz says, once it has `text`."""
        harness.wait_until(lambda: text in self.readiness(node)[1])
        return self.readiness(node)[1]

    def view(self, node):
        return json.loads(self.ask_admin(node, "/cluster")[1])

    def leader(self):
        """The node that leads most groups."""
        self.await_leaders()
        led = [group["leader"] for group in self.view(1)["groups"]]
        return max(set(led), key=led.count)

    def await_leaders(self, *nodes):
        """Until each of these nodes (all that run, if none is named) can serve every group."""
        for node in nodes or [n for n in self.nodes if self.nodes[n].process.poll() is None]:
            harness.wait_until(lambda: self.readiness(node)[0] == 200)

    def logged(self, node):
        """What this node has logged, entry by entry."""
        entries = []
        for line in self.nodes[node].log_text().splitlines():
            try:
                entries.append(json.loads(line))
            except ValueError:
                entries.append({"message": line})
        return entries
