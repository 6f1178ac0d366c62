"""What can befall a cluster: its processes, its network, a disk of one of its nodes, its clocks."""
import pathlib
import shutil
import signal
import struct
import subprocess
import threading
import time

import harness

class Clocks:
    """Wall clocks of nodes, which tests/support/clock_shim.cc shifts; `program` is its path."""

    def __init__(self, program, directory, count):
        self.paths = {node: pathlib.Path(directory) / ("clock-%d" % node)
                      for node in range(1, count + 1)}
        for node in self.paths:
            self.paths[node].write_bytes(bytes(8))
        # Of a node's environment; "%d" is the node.
        self.variables = {"LD_PRELOAD": program,
                          "CLOCK_SHIM_FILE": str(pathlib.Path(directory) / "clock-%d")}

    def shift(self, node, seconds):
        with open(self.paths[node], "r+b") as file:  # In place: it is mapped.
            file.write(struct.pack("=q", int(seconds * 1e9)))


class World:
    """What faults act on. Each is a method that returns the nodes it hit, when all is undone.
    `volume`: what `disk_node` has its directory on."""

    def __init__(self, cluster, chance, seconds_min=1.5, seconds_max=8, volume=None,
                 disk_node=None, clocks=None):
        self.cluster = cluster
        self.volume, self.disk_node, self.clocks = volume, disk_node, clocks
        self.chance = chance
        self.nodes = sorted(cluster.nodes)
        self.seconds = lambda: chance.uniform(seconds_min, seconds_max)

    def leader(self):
        """A node that leads more groups than others do, as far as anyone knows."""
        for node in self.chance.sample(self.nodes, len(self.nodes)):
            try:
                led = [group["leader"] for group in self.cluster.view(node)["groups"]]
            except OSError:
                continue
            known = [leader for leader in led if leader]
            if known:
                return max(sorted(set(known)), key=known.count)
        return self.chance.choice(self.nodes)

    def some(self, count):
        return self.chance.sample(self.nodes, count)

    def majority(self):
        return self.some(len(self.nodes) // 2 + 1)

    def minority(self):
        return self.some(len(self.nodes) // 2)

    def kill(self, hit, how=signal.SIGKILL):
        for node in hit:
            self.cluster[node].process.send_signal(how)
        for node in hit:
            self.cluster[node].process.wait(harness.PATIENCE_S)
            self.cluster[node].process.stdout.close()
        time.sleep(self.seconds())
        for node in hit:
            self.cluster[node].launch()
        for node in hit:
            self.cluster[node].await_listening()
        return hit

    def pause(self, hit):
        for node in hit:
            self.cluster[node].process.send_signal(signal.SIGSTOP)
        time.sleep(self.seconds())
        for node in hit:
            self.cluster[node].process.send_signal(signal.SIGCONT)
        return hit

    def kill_leader(self):
        return self.kill([self.leader()])

    def kill_any(self):
        return self.kill(self.some(1))

    def kill_minority(self):
        return self.kill(self.minority())

    def kill_majority(self):
        return self.kill(self.majority())

    def kill_all(self):
        return self.kill(self.nodes)

    def stop_leader(self):
        return self.kill([self.leader()], signal.SIGTERM)

    def pause_leader(self):
        return self.pause([self.leader()])

    def pause_any(self):
        return self.pause(self.some(1))

    def pause_majority(self):
        return self.pause(self.majority())

    # ---- the network ----

    def cut(self, pairs, hit):
        for pair in pairs:
            self.cluster.network.cut(*pair)
        time.sleep(self.seconds())
        for pair in pairs:
            self.cluster.network.heal(*pair)
        return hit

    def between(self, some):
        """Each pair of one of these and one of the others, in both directions."""
        others = [node for node in self.nodes if node not in some]
        return ([(node, other) for node in some for other in others] +
                [(other, node) for node in some for other in others])

    def cut_leader(self):
        leader = self.leader()
        return self.cut(self.between([leader]), [leader])

    def cut_minority(self):
        hit = self.minority()
        return self.cut(self.between(hit), hit)

    def cut_all(self):
        return self.cut([(a, b) for a in self.nodes for b in self.nodes if a != b], self.nodes)

    def cut_one_way(self):
        """One node hears another no more, which hears it."""
        pair = self.some(2)
        return self.cut([tuple(pair)], pair)

    def cut_leader_mute(self):
        leader = self.leader()
        return self.cut([(leader, node) for node in self.nodes if node != leader], [leader])

    def cut_leader_deaf(self):
        leader = self.leader()
        return self.cut([(node, leader) for node in self.nodes if node != leader], [leader])

    def cut_pair(self):
        """Two nodes that only others can reach."""
        a, b = self.some(2)
        return self.cut([(a, b), (b, a)], [a, b])

    def flap(self):
        hit = self.some(1)
        pairs = self.between(hit)
        until = time.monotonic() + self.seconds()
        while time.monotonic() < until:
            self._flap_once(pairs)
        return hit

    def _flap_once(self, pairs):
        for pair in pairs:
            self.cluster.network.cut(*pair)
        time.sleep(self.chance.uniform(0, 0.6))
        for pair in pairs:
            self.cluster.network.heal(*pair)
        time.sleep(self.chance.uniform(0, 0.6))

    def slow_link(self):
        return self._slow("2mbit", 200000)

    def lossy_link(self):
        """A short queue: what comes in bursts is lost in part."""
        return self._slow("8mbit", 6000)

    def _slow(self, rate, queue_bytes):
        hit = self.some(1)
        self.cluster.network.slow(hit[0], rate, queue_bytes)
        time.sleep(self.seconds())
        self.cluster.network.quick(hit[0])
        return hit

    def storm(self):
        """Processes die, one after the other, while the network comes and goes."""
        calm = threading.Event()
        thread = threading.Thread(target=self._shake, args=(calm,), daemon=True)
        thread.start()
        for _ in range(3):
            self.kill(self.minority())
        calm.set()
        thread.join()
        return self.nodes

    def _shake(self, calm):
        while not calm.is_set():
            getattr(self, self.chance.choice(["cut_leader", "cut_one_way", "cut_pair", "flap"]))()

    # ---- a disk ----

    def disk_hangs(self):
        self.volume.disk.hang()
        time.sleep(self.seconds())
        self.volume.disk.go_on()
        return [self.disk_node]

    def disk_is_full(self):
        ballast = self.volume.path / "ballast"
        until = time.monotonic() + self.seconds()
        with open(ballast, "wb", buffering=0) as file:
            while time.monotonic() < until:
                try:
                    file.write(bytes(1 << 20))
                except OSError:
                    time.sleep(0.05)
        ballast.unlink()
        return [self.disk_node]

    def disk_fails(self):
        """Writes or flushes, until the node has another disk."""
        self.volume.disk.command("fail " + self.chance.choice(("writes", "flushes")))
        time.sleep(self.seconds())
        return self._remount(lambda: None)

    def power_is_cut(self):
        """Of the one node: what its disk's cache held is there in part, and torn."""
        return self._remount(lambda: self.volume.disk.command(
            "cut %f %d" % (self.chance.choice((0, 0.5, 1)), self.chance.randrange(1 << 32))))

    def _remount(self, before):
        server = self.cluster[self.disk_node]
        before()
        server.kill()
        self.volume.unmount()
        time.sleep(self.seconds())
        self.volume.disk.command("on")
        self.volume.mount()
        server.start()
        return [self.disk_node]

    # ---- members: a node's directory, and what operators say ----
    #
    # One at a time: it is over once the cluster has taken the node in again. What the others have
    # is all there is meanwhile.

    def directory_is_lost(self):
        node = self.some(1)[0]
        before = self._whole(node)
        self.cluster[node].kill()
        time.sleep(self.seconds())
        self._come_back_empty(node, before)
        return [node]

    def directory_is_put_back(self):
        """An older state of it, which the node has acknowledged more than; the node finds out."""
        node = self.some(1)[0]
        before = self._whole(node)
        server, directory = self.cluster[node], pathlib.Path(self.cluster.data_dir(node))
        copy = directory.with_name("copy-%d" % node)
        server.stop()
        subprocess.run(["cp", "-a", "--sparse=always", directory, copy], check=True)
        server.start()
        time.sleep(self.seconds())
        server.kill()
        shutil.rmtree(directory)
        copy.rename(directory)
        server.start()
        self.cluster.await_text(node, "an older state of this directory")
        server.kill()
        self._come_back_empty(node, before)
        return [node]

    def leaders_are_led_away(self):
        """A node leads nothing for a while, by an operator's word."""
        node = self.leader()
        self._change(node, "cordon")
        time.sleep(self.seconds())
        self._change(node, "uncordon")
        return []

    def _change(self, node, change):
        target = "/cluster/node?node=%d&change=%s" % (node, change)
        harness.wait_until(lambda: self.cluster.ask_admin(
            self.chance.choice(self.nodes), target, "POST")[0] == 200)

    def _come_back_empty(self, node, lives_before):
        shutil.rmtree(self.cluster.data_dir(node))
        self.cluster[node].start()
        harness.wait_until(lambda: self._lives(node) > lives_before)

    def _whole(self, node):
        harness.wait_until(lambda: self._lives(node) >= 0)
        return self._lives(node)

    def _lives(self, node):
        """Directories that it had before this one, if each of the others says that it is a member."""
        lives = set()
        for other in self.nodes:
            if other == node:
                continue
            member = [one for one in self.cluster.view(other)["members"] if one["node"] == node]
            if not member or member[0]["stage"] != "member":
                return -1
            lives.add(member[0]["lives_before"])
        return min(lives)

    # ---- clocks ----

    def clock_jumps(self):
        """One of them, forward or back by up to two hours, and later to where it was."""
        node = self.some(1)[0]
        self.clocks.shift(node, self.chance.choice((-7200, -60, -1, 1, 60, 7200)))
        time.sleep(self.seconds())
        self.clocks.shift(node, 0)
        return []

    def clocks_jump_apart(self):
        for node in self.nodes:
            self.clocks.shift(node, self.chance.uniform(-600, 600))
        time.sleep(self.seconds())
        for node in self.nodes:
            self.clocks.shift(node, 0)
        return []


PROCESS_FAULTS = ["kill_leader", "kill_any", "kill_minority", "kill_majority", "kill_all",
                  "stop_leader", "pause_leader", "pause_any", "pause_majority"]
NETWORK_FAULTS = ["cut_leader", "cut_minority", "cut_all", "cut_one_way", "cut_leader_mute",
                  "cut_leader_deaf", "cut_pair", "flap", "slow_link", "lossy_link", "storm"]
MEMBER_FAULTS = ["directory_is_lost", "directory_is_put_back", "leaders_are_led_away"]
DISK_FAULTS = ["disk_hangs", "disk_is_full", "disk_fails", "power_is_cut"]
CLOCK_FAULTS = ["clock_jumps", "clocks_jump_apart"]
# Where they strike no majority is left to ask.
HIT_ALL = {"kill_majority", "kill_all", "pause_majority", "cut_all", "storm"}


def schedule(faults, chance):
    """All of them again and again, each time in another order."""
    while True:
        yield from chance.sample(faults, len(faults))
