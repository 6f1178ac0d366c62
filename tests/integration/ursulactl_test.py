#!/usr/bin/env python3
"""ursulactl and the nodes it asks: real processes, over loopback."""
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import threading
import unittest
from unittest import mock

import harness
import nodes

ALL = (1, 2, 3)
SECRET = "0123456789abcdef0123456789abcdef"


def ursulactl(*words, variables=None):
    """What it printed and its exit status."""
    path = os.path.abspath(os.environ["URSULACTL"])
    return subprocess.run([path, *map(str, words)], capture_output=True, text=True,
                          timeout=harness.PATIENCE_S,
                          env=harness.environment(**(variables or {})))


def admin_of(cluster, *which):
    return ",".join("127.0.0.1:%d" % cluster[node].admin_port() for node in which or ALL)


class Asked(unittest.TestCase):
    """What all of them say of the same cluster."""

    def json(self, cluster, *words, status=0, which=()):
        done = ursulactl("--admin", admin_of(cluster, *which), "--json", *words)
        self.assertEqual(done.returncode, status, done)
        return json.loads(done.stdout)

    def await_health(self, cluster, status, which=()):
        """A node that has just come is behind for a moment."""
        harness.wait_until(lambda: ursulactl(
            "--admin", admin_of(cluster, *which), "health").returncode == status)
        return self.json(cluster, "health", status=status, which=which)

    def test_each_command_for_people_and_for_programs(self):
        with nodes.Cluster(groups=4) as cluster:
            cluster.await_leaders()
            self.assertEqual(self.await_health(cluster, 0), {
                "healthy": True, "reasons": [], "members": [
                    {"node": n, "stage": "member", "cordoned": False} for n in ALL],
                "feature_level": 2, "feature_level_waits_for": ""})
            status = self.json(cluster, "status")
            self.assertEqual((status["groups"], status["groups_without_leader"]), (4, 0))
            self.assertEqual(status["cluster_id"], cluster.view(1)["cluster_id"])
            self.assertEqual([(node["node"], node["answers"], node["ready"])
                              for node in status["nodes"]], [(n, True, True) for n in ALL])
            self.assertEqual(sum(node["groups_led"] for node in status["nodes"]), 4)
            groups = self.json(cluster, "groups")["groups"]
            self.assertEqual([group["group"] for group in groups], [0, 1, 2, 3])
            for group in groups:
                self.assertEqual([replica["node"] for replica in group["replicas"]], list(ALL))
                self.assertGreater(max(r["applied"] for r in group["replicas"]), 0)
            leaders = self.json(cluster, "leaders")
            self.assertEqual(leaders["without_leader"], [])
            self.assertEqual(sorted(g for node in leaders["leaders"] for g in node["groups"]),
                             [0, 1, 2, 3])
            self.assertEqual([node["node"] for node in self.json(cluster, "lag")["nodes"]],
                             list(ALL))
            for command, head in (("status", "NODE  ADMIN"), ("groups", "GROUP  LEADER  TERM"),
                                  ("leaders", "NODE  LEADS  GROUPS"), ("lag", "NODE  GROUPS BEHIND"),
                                  ("health", "healthy")):
                done = ursulactl("--admin", admin_of(cluster), command)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn(head, done.stdout)

    def test_a_node_that_is_gone_is_named_and_no_majority_is_no_health(self):
        with nodes.Cluster(groups=2, fixed_ports=True) as cluster:
            cluster.await_leaders()
            admin = admin_of(cluster)
            cluster[2].kill()
            health = self.await_health(cluster, 1)
            self.assertEqual([(r["code"], r["node"]) for r in health["reasons"]
                              if r["code"] not in ("warning", "under_replicated")],
                             [("unreachable", 2)])
            self.assertIn("Connection refused", json.dumps(health))
            harness.wait_until(lambda: ("under_replicated", 2) in [
                (r["code"], r["node"]) for r in self.json(cluster, "health", status=1)["reasons"]])
            # Clients may be sent elsewhere by who knows where that is, also of one that is gone.
            told = self.json(cluster, "status")["nodes"]
            self.assertEqual([one["http_address"] for one in told],
                             ["127.0.0.1:%d" % cluster[node].port for node in ALL])
            done = ursulactl("--admin", admin, "status")
            self.assertEqual(done.returncode, 0)
            self.assertIn("2 of 3 nodes answer; not healthy", done.stdout)
            cluster[3].kill()
            harness.wait_until(lambda: "group_without_leader: 2 of 2 groups" in ursulactl(
                "--admin", admin, "health").stdout)
            done = ursulactl("--admin", admin, "leaders")
            self.assertRegex(done.stdout, r"(?m)^none +2 +0 1$")
            cluster[1].kill()
            for command, status in (("status", 3), ("health", 3), ("groups", 3), ("lag", 3),
                                    ("clock step", 2), ("transfer 0 1", 3)):
                done = ursulactl("--admin", admin, *command.split())
                self.assertEqual(done.returncode, status, done)

    def test_a_server_that_is_alone(self):
        with harness.Server(admin=True) as server:
            admin = ["--admin", "127.0.0.1:%d" % server.admin_port()]
            self.assertEqual(ursulactl(*admin, "health").stdout, "healthy\n")
            self.assertIn("1 of 1 nodes answer", ursulactl(*admin, "status").stdout)
            done = ursulactl(*admin, "--json", "clock", "step")
            self.assertEqual(done.returncode, 0)
            self.assertIsInstance(json.loads(done.stdout)["moved_ms"], int)
            done = ursulactl(*admin, "--json", "transfer", 0, 2)
            self.assertEqual((done.returncode, json.loads(done.stdout)["error"]["code"]),
                             (1, "ALONE"))
            done = ursulactl(*admin, "--json", "node", "add", 2)
            self.assertEqual((done.returncode, json.loads(done.stdout)["error"]["code"]),
                             (1, "ALONE"))
            status, _, body = server.ask("POST", "/cluster/node?node=2&change=add",
                                         port=server.admin_port())
            self.assertEqual((status, json.loads(body)["error"]["code"]), (409, "NO_CLUSTER"))
            version = subprocess.run([harness.ursulad_path, "--version"], text=True,
                                     capture_output=True, env=harness.environment()).stdout
            self.assertEqual(ursulactl("--version").stdout.split()[1], version.split()[1])


class Found(unittest.TestCase):
    def test_the_others_are_found_where_all_are_laid_out_alike(self):
        ports = []
        while len(ports) < 3:  # One for peers and the next one for us.
            port = nodes.free_ports(1)[0]
            with socket.socket() as candidate:
                try:
                    candidate.bind(("127.0.0.1", port + 1))
                except OSError:
                    continue
            if not {port, port + 1} & {p + d for p in ports for d in (0, 1)}:
                ports.append(port)
        each = {node: ["--admin-listen", "127.0.0.1:%d" % (ports[node - 1] + 1)] for node in ALL}
        with mock.patch.object(nodes, "free_ports", lambda count: ports):
            cluster = nodes.Cluster(groups=2, each=each)
        with cluster:
            cluster.await_leaders()
            first = ["--admin", "127.0.0.1:%d" % (ports[0] + 1), "--json"]
            found = json.loads(ursulactl(*first, "status").stdout)["nodes"]
            self.assertEqual([(node["node"], node["admin"], node["answers"]) for node in found],
                             [(n, "127.0.0.1:%d" % (ports[n - 1] + 1), True) for n in ALL])
            cluster[3].kill()
            found = json.loads(ursulactl(*first, "status").stdout)["nodes"]
            self.assertEqual([node["answers"] for node in found], [True, True, False])
            self.assertIn("name its --admin-listen address too", found[2]["problem"])


class Transfers(unittest.TestCase):
    def spread(self, cluster):
        """Which groups each node leads, once none leads two more than another."""
        led = {}

        def settled():
            led.clear()
            led.update({node: [] for node in ALL})
            for group in cluster.view(1)["groups"]:
                led.setdefault(group["leader"], []).append(group["group"])
            counts = [len(groups) for groups in led.values()]
            return len(led) == 3 and max(counts) - min(counts) < 2

        harness.wait_until(settled)
        return led

    def test_a_group_goes_to_the_node_that_is_named(self):
        with nodes.Cluster(groups=4) as cluster:
            cluster.await_leaders()
            for _ in range(4):
                led = self.spread(cluster)
                most = max(ALL, key=lambda node: len(led[node]))
                least = min(ALL, key=lambda node: len(led[node]))
                group = led[most][0]
                done = ursulactl("--admin", admin_of(cluster), "--json", "transfer", group, least)
                self.assertEqual(done.returncode, 0, done)
                told = json.loads(done.stdout)
                self.assertEqual((told["done"], told["failed"]), (1, 0))
                self.assertEqual((told["transfers"][0]["to"], told["transfers"][0]["outcome"]),
                                 (least, "done"))
                harness.wait_until(lambda: cluster.view(1)["groups"][group]["leader"] == least)

    def test_all_of_a_node_go_elsewhere_and_nothing_fails(self):
        with nodes.Cluster(groups=8) as cluster:
            cluster.await_leaders()
            led = self.spread(cluster)
            self.assertEqual(cluster[2].ask("PUT", "/v1/stream/s")[0], 201)
            ending, statuses = threading.Event(), []

            def appending():
                while not ending.is_set():
                    statuses.append(cluster[2].append("/v1/stream/s", b"x")[0])

            appender = threading.Thread(target=appending)
            appender.start()
            try:
                done = ursulactl("--admin", admin_of(cluster), "--json", "transfer", "--all-from", 1)
            finally:
                harness.wait_until(lambda: len(statuses) > 20)
                ending.set()
                appender.join()
            self.assertEqual(done.returncode, 0, done)
            told = json.loads(done.stdout)
            # As it looked when it was asked: leaders are spread at any time.
            self.assertTrue(told["transfers"])
            self.assertTrue(led[1])
            self.assertEqual({t["outcome"] for t in told["transfers"]}, {"done"})
            self.assertLessEqual({t["to"] for t in told["transfers"]}, {2, 3})
            self.assertEqual(set(statuses), {204})

    def test_what_cannot_be_is_refused_with_a_reason(self):
        with nodes.Cluster(groups=2) as cluster:
            cluster.await_leaders()
            admin = ["--admin", admin_of(cluster), "--wait-ms", "1500"]
            leader = cluster.view(1)["groups"][0]["leader"]
            done = ursulactl(*admin, "transfer", 0, leader)
            self.assertEqual((done.returncode, done.stdout),
                             (0, "group 0: node %d leads it already\n" % leader))
            for words, reason in (((0, 9), "node 9 has no vote in group 0"),
                                  ((7, 1), "there is no group 7"),
                                  (("--all-from", 9), "there is no node 9")):
                done = ursulactl(*admin, "transfer", *words)
                self.assertEqual(done.returncode, 1, done)
                self.assertIn(reason, done.stdout + done.stderr)
            # A node that is gone.
            gone = leader % 3 + 1
            cluster[gone].kill()
            cluster.await_text(leader, "node %d isn't connected" % gone)
            harness.wait_until(lambda: "hasn't been heard of lately" in ursulactl(
                *admin, "transfer", 0, gone).stdout)


class Membership(unittest.TestCase):
    """Nodes come and go by an operator's word."""

    def ctl(self, cluster, *words, status=0, wait_ms=600_000):
        """What it says of nodes that run or have run."""
        done = ursulactl("--admin", admin_of(cluster, *cluster.nodes), "--json", "--wait-ms",
                         wait_ms, *words)
        self.assertEqual(done.returncode, status, done)
        return json.loads(done.stdout)

    def outcomes(self, told):
        return [(c["node"], c["change"], c["outcome"]) for c in told["changes"]]

    def members(self, cluster):
        return [(m["node"], m["stage"]) for m in self.ctl(cluster, "status")["members"]]

    def await_health(self, cluster):
        harness.wait_until(lambda: ursulactl("--admin", admin_of(cluster, *cluster.nodes),
                                             "health").returncode == 0)

    def append(self, cluster, node, data):
        """Until it is taken: a leader may just have gone."""
        harness.wait_until(lambda: cluster[node].append("/v1/stream/s", data)[0] == 204)

    def await_waiting(self, cluster, *which):
        def waits(view):
            connected = [peer["node"] for peer in view["peers"] if peer["connected"]]
            # Before that it opens its directory, and says so.
            return view["opening"].startswith("founding") and set(ALL) <= set(connected)
        for node in which:
            harness.wait_until(lambda: waits(cluster.view(node)))

    def test_three_become_five_and_three_again(self):
        with nodes.Cluster(count=5, founders=3) as cluster:
            cluster.await_leaders()
            self.assertEqual(cluster[1].ask("PUT", "/v1/stream/s")[0], 201)
            self.append(cluster, 1, b"of three,")
            cluster.name_all()
            self.await_health(cluster)  # That two are named and aren't there is no harm.
            for node in (4, 5):
                cluster.begin(node)
            self.await_waiting(cluster, 4, 5)
            self.assertEqual(self.outcomes(self.ctl(cluster, "replicas", 5)),
                             [(4, "add", "done"), (5, "add", "done")])
            self.assertEqual(self.members(cluster), [(n, "member") for n in (1, 2, 3, 4, 5)])
            self.assertEqual(self.ctl(cluster, "replicas", 5)["changes"], [])
            told = self.ctl(cluster, "replicas", 3, status=1)
            self.assertEqual(told["error"]["code"], "WHICH_NODE")
            for node in (4, 5):
                cluster[node].await_listening()
            for node in (1, 3):  # What is left is a majority that has everything.
                cluster[node].kill()
            self.append(cluster, 4, b"of five,")
            for node in (2, 4, 5):
                self.assertRegex(cluster[node].read_all("/v1/stream/s"), b"of three,.*of five,")
            for node in (1, 3):
                cluster[node].start()
            self.await_health(cluster)
            self.drained_and_back(cluster, 2)
            for node in (5, 4):
                self.assertEqual(self.outcomes(self.ctl(cluster, "node", "remove", node)),
                                 [(node, "remove", "done")])
                cluster.await_text(node, "this node was removed from the cluster")
            self.assertEqual(self.members(cluster), [(n, "member") for n in ALL])
            self.await_health(cluster)
            for node in (4, 5, 3):
                cluster[node].kill()
            self.append(cluster, 1, b"of three again")
            self.assertTrue(cluster[2].read_all("/v1/stream/s").endswith(b"of three again"))

    def test_a_node_takes_anothers_place(self):
        """The one that goes stays until the other one is there; asked again it goes on."""
        with nodes.Cluster(count=5, founders=3, groups=4) as cluster:
            cluster.await_leaders()
            self.assertEqual(cluster[1].ask("PUT", "/v1/stream/s")[0], 201)
            self.append(cluster, 1, b"before,")
            cluster.name_all()
            told = self.ctl(cluster, "node", "replace", 5, 4, status=1)
            self.assertEqual(told["error"]["code"], "NO_MEMBER")
            told = self.ctl(cluster, "node", "replace", 3, 4, status=1, wait_ms=1500)
            self.assertEqual(self.outcomes(told), [(4, "add", "late"), (3, "remove", "late")])
            self.assertIn("node 3 stays until node 4 is there", told["changes"][1]["text"])
            self.assertEqual(self.members(cluster),
                             [(1, "member"), (2, "member"), (3, "member"), (4, "invited")])
            cluster.begin(4)
            self.assertEqual(self.outcomes(self.ctl(cluster, "node", "replace", 3, 4)),
                             [(4, "add", "done"), (3, "remove", "done")])
            self.assertEqual(self.members(cluster), [(n, "member") for n in (1, 2, 4)])
            self.assertEqual(self.outcomes(self.ctl(cluster, "node", "replace", 3, 4)),
                             [(4, "add", "was_so"), (3, "remove", "was_so")])
            cluster.await_text(3, "this node was removed from the cluster")
            cluster[4].await_listening()
            for node in (3, 1):  # What is left is a majority that has everything.
                cluster[node].kill()
            self.append(cluster, 4, b"after")
            self.assertRegex(cluster[2].read_all("/v1/stream/s"), b"before,.*after")

    def drained_and_back(self, cluster, node):
        told = self.ctl(cluster, "node", "drain", node)
        self.assertEqual([c["change"] for c in told["changes"]], ["drain"])
        leaders = self.ctl(cluster, "leaders")
        self.assertNotIn(node, [one["node"] for one in leaders["leaders"]])
        self.assertEqual(leaders["without_leader"], [])
        member = [m for m in self.ctl(cluster, "health")["members"] if m["node"] == node][0]
        self.assertEqual((member["stage"], member["cordoned"]), ("member", True))
        self.assertEqual(self.outcomes(self.ctl(cluster, "node", "drain", node)),
                         [(node, "drain", "was_so")])
        self.assertEqual(self.outcomes(self.ctl(cluster, "node", "uncordon", node)),
                         [(node, "uncordon", "done")])
        harness.wait_until(lambda: node in [
            one["node"] for one in self.ctl(cluster, "leaders")["leaders"]])

    def test_what_a_change_waits_for_is_told(self):
        with nodes.Cluster(count=5, founders=3, groups=4) as cluster:
            cluster.await_leaders()
            self.assertEqual(cluster[1].ask("PUT", "/v1/stream/s")[0], 201)
            cluster.name_all()
            admin = ["--admin", admin_of(cluster), "--wait-ms", "1500"]
            for words, code in ((("remove", 9), "NO_MEMBER"), (("cordon", 9), "NO_MEMBER")):
                told = self.ctl(cluster, "node", *words, status=1)
                self.assertEqual((told["changes"][0]["outcome"], told["changes"][0]["code"]),
                                 ("refused", code))
            self.assertEqual(self.outcomes(self.ctl(cluster, "node", "add", 1)),
                             [(1, "add", "was_so")])
            done = ursulactl(*admin, "node", "add", 4)
            self.assertEqual(done.returncode, 1, done)
            self.assertIn("node 4 may join, and isn't there yet: start it with an empty directory",
                          done.stdout)
            self.assertIn("node 4 may join", done.stderr)
            self.assertIn((4, "invited"), self.members(cluster))
            cluster.begin(4)
            # Beside three it follows, and another one makes them five.
            harness.wait_until(lambda: "an even number of voters" in ursulactl(
                *admin, "node", "add", 4).stdout)
            cluster[4].await_listening()
            self.assertIn((4, "joining"), self.members(cluster))
            self.append(cluster, 4, b"any node takes it")
            self.assertEqual(self.outcomes(self.ctl(cluster, "node", "remove", 4)),
                             [(4, "remove", "done")])
            self.assertEqual(self.members(cluster), [(n, "member") for n in ALL])
            # Invited and not any more: at once.
            self.assertEqual(self.ctl(cluster, "node", "add", 5, status=1,
                                      wait_ms=500)["changes"][0]["code"], "LATE")
            self.assertEqual(self.outcomes(self.ctl(cluster, "node", "remove", 5)),
                             [(5, "remove", "done")])


class Secret(unittest.TestCase):
    """Who doesn't know it learns nothing and changes nothing."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="ursula-secret-")
        self.addCleanup(self.folder.cleanup)
        self.path = self.write("secret", SECRET)

    def write(self, name, text):
        path = os.path.join(self.folder.name, name)
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(text + "\n")
        return path

    def test_the_same_secret_opens_all_and_no_other_any(self):
        with nodes.Cluster(groups=2, flags=["--cluster-secret-file", self.path]) as cluster:
            cluster.await_leaders()
            admin = ["--admin", admin_of(cluster)]
            known = [*admin, "--cluster-secret-file", self.path]
            harness.wait_until(lambda: ursulactl(*known, "health").returncode == 0)
            led = {g["group"]: g["leader"] for g in json.loads(
                ursulactl(*known, "--json", "groups").stdout)["groups"]}
            done = ursulactl(*known, "transfer", 0, led[0] % 3 + 1)
            self.assertEqual(done.returncode, 0, done)
            self.assertEqual(ursulactl("--admin", admin_of(cluster, 1), "clock", "step",
                                       variables={"URSULACTL_SECRET_FILE": self.path}).returncode, 0)
            done = ursulactl(*admin, "health")
            self.assertEqual(done.returncode, 3)
            self.assertIn("--cluster-secret-file", done.stdout)
            done = ursulactl(*admin, "--cluster-secret-file", self.write("other", SECRET[::-1]),
                             "clock", "step", "--admin", admin_of(cluster, 1))
            self.assertEqual(done.returncode, 2)
            done = ursulactl("--admin", admin_of(cluster, 1), "clock", "step",
                             "--cluster-secret-file", self.write("third", SECRET[::-1]))
            self.assertEqual(done.returncode, 3)
            self.assertIn("it has another secret", done.stderr)
            port = cluster[1].admin_port()
            for method, target, status in (
                    ("GET", "/healthz", 200), ("GET", "/metrics", 200), ("GET", "/cluster", 401),
                    ("POST", "/clock/step", 401), ("POST", "/cluster/transfer?group=0&to=1", 401),
                    ("POST", "/cluster/node?node=1&change=cordon", 401)):
                self.assertEqual(cluster[1].ask(method, target, port=port)[0], status, target)

    def test_the_guide_shows_how_by_hand(self):
        guide = pathlib.Path(os.environ["URSULA_ADMIN_GUIDE"]).read_text()
        script = guide.split("By hand:\n\n```\n")[1].split("```")[0]
        with harness.Server("--cluster-secret-file", self.path, admin=True) as server:
            for old, new in (("/etc/ursulad/secret", self.path),
                             ("127.0.0.1:4438", "127.0.0.1:%d" % server.admin_port()),
                             ("curl -H", "curl -s -H")):
                self.assertIn(old, script)
                script = script.replace(old, new)
            done = subprocess.run(["bash", "-ec", script], capture_output=True, text=True)
            self.assertEqual(json.loads(done.stdout)["ready"], True, done)

    def test_what_was_sent_once_is_worth_nothing(self):
        """A listener on the way sends on what passes, and then again."""
        with harness.Server("--cluster-secret-file", self.path, admin=True) as server:
            port = server.admin_port()
            with Relay(port) as relay:
                done = ursulactl("--admin", "127.0.0.1:%d" % relay.port, "--json",
                                 "--cluster-secret-file", self.path, "clock", "step")
                self.assertEqual(done.returncode, 0, done)
            proven = [request for request in relay.requests if b"Authorization" in request]
            self.assertEqual(len(proven), 1)
            self.assertNotIn(SECRET.encode(), b"".join(relay.requests))
            for again in (proven[0], proven[0].replace(b"/clock/step", b"/cluster/transfer")):
                with harness.RawClient(port) as client:
                    client.write(again)
                    self.assertEqual(client.read_response()[0], 401)

    def test_an_answer_of_somebody_else_is_not_believed(self):
        """It passes the challenge on and changes the answer."""
        with harness.Server("--cluster-secret-file", self.path, admin=True) as server:
            forge = lambda response: response.replace(b'"moved_ms":', b'"moved_ms":9')
            with Relay(server.admin_port(), forge) as relay:
                done = ursulactl("--admin", "127.0.0.1:%d" % relay.port,
                                 "--cluster-secret-file", self.path, "clock", "step")
            self.assertEqual(done.returncode, 3, done)
            self.assertIn("don't believe it", done.stderr)
        with harness.Server(admin=True) as server:
            done = ursulactl("--admin", "127.0.0.1:%d" % server.admin_port(),
                             "--cluster-secret-file", self.path, "health")
            self.assertEqual(done.returncode, 3)
            self.assertIn("doesn't ask for the cluster's secret", done.stdout)

    def test_an_address_that_others_reach_needs_one(self):
        ports = nodes.free_ports(2)
        flags = [harness.ursulad_path, "--listen", "127.0.0.1:%d" % ports[0], "--memory",
                 "--admin-listen", "0.0.0.0:%d" % ports[1]]
        done = subprocess.run(flags, capture_output=True, text=True, env=harness.environment(),
                              timeout=harness.PATIENCE_S)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--cluster-secret-file", done.stderr)
        with harness.Server(*flags[3:], "--allow-unauthenticated") as server:
            self.assertEqual(server.ask("GET", "/readyz", port=ports[1])[0], 200)
            self.assertEqual(server.ask("POST", "/clock/step", port=ports[1])[0], 403)
            done = ursulactl("--admin", "127.0.0.1:%d" % ports[1], "clock", "step")
            self.assertEqual(done.returncode, 1)
            self.assertIn("--cluster-secret-file", done.stderr)


class Relay:
    """Sends each request on to `port`, and the answer, through `change`, back."""

    def __init__(self, port, change=lambda response: response):
        self.to, self.change, self.requests = port, change, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while True:
            client = self.listener.accept()[0]
            with client:
                request = b""
                while b"\r\n\r\n" not in request:
                    data = client.recv(1 << 16)
                    if not data:
                        return  # The end of this relay.
                    request += data
                self.requests.append(request)
                with harness.RawClient(self.to) as server:
                    server.write(request)
                    client.sendall(self.change(server.read_all()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        socket.create_connection(("127.0.0.1", self.port)).close()
        self.thread.join()
        self.listener.close()


class Hostile(unittest.TestCase):
    """What listens isn't what it is taken for."""

    def answer(self, response, *words, drip=False):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            def serve():
                listener.settimeout(0.2)
                while not ending.is_set():
                    try:
                        client = listener.accept()[0]
                    except TimeoutError:
                        continue
                    with client:
                        client.settimeout(0.1)
                        try:
                            client.recv(1 << 16)
                            for piece in ([response[i:i + 1] for i in range(len(response))]
                                          if drip else [response]):
                                client.sendall(piece)
                                if drip and ending.wait(0.05):
                                    return
                        except OSError:
                            pass

            ending = threading.Event()
            thread = threading.Thread(target=serve)
            thread.start()
            try:
                return ursulactl("--admin", "127.0.0.1:%d" % listener.getsockname()[1],
                                 "--timeout-ms", "700", *(words or ("status",)))
            finally:
                ending.set()
                thread.join()

    def test_whatever_comes_is_a_sentence_in_time(self):
        body = json.dumps({"node": 1, "groups": [], "peers": [], "ready": False,
                           "reasons": ["\x1b[31mred\x07"]}).encode()
        page = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        for response in (b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\n\r\n{",
                         b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 100,
                         b"HTTP/1.1 401 U\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
                         b"HTTP/1.1 302 F\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
                         b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20000 + b"\r\n",
                         b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
                         page.replace(b'"node": 1', b'"node": "one"')):
            done = self.answer(response)
            self.assertEqual(done.returncode, 3, (response[:80], done))
            self.assertIn("name", done.stdout)
        done = self.answer(page)
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("?[31mred?", done.stdout)
        self.assertEqual(self.answer(page, drip=True).returncode, 3)

    def test_mistakes_in_the_command_line_are_all_told(self):
        for words, said in ((["--admin", "nowhere", "status"], "is not HOST:PORT"),
                            (["--bogus", "status"], "--bogus is not an option"),
                            (["fly"], "'fly' is not a command"),
                            ([], "say what to do"),
                            (["transfer", "1"], "which group and to which node"),
                            (["transfer", "x", "1"], "is not a group's number"),
                            (["node", "add"], "say which node"),
                            (["replicas", "4"], "1, 3 or 5"),
                            (["--cluster-secret-file", "/nowhere", "status"], "No such file"),
                            (["--timeout-ms", "0", "health"], "is not a number")):
            done = ursulactl(*words)
            self.assertEqual((done.returncode, done.stdout), (2, ""), done)
            self.assertIn(said, done.stderr)
        self.assertIn("Exit status", ursulactl("--help").stdout)


if __name__ == "__main__":
    harness.main()
