"""A container engine, podman or docker, and what a test makes in it: images, containers and volumes
with names of the test's own, removed when it ends. Nothing is fetched: images begin with a tree of
this machine's packages (debian_tree.py).
"""
import os
import pathlib
import resource
import secrets
import shutil
import subprocess
import tempfile

import debian_tree
import harness

# crun, podman's own choice, runs nothing on machines with control groups of both versions.
_ENGINES = (["podman"], ["podman", "--runtime", "runc"], ["docker"])
_LAYERS = {"podman": ["--layers=false"], "docker": []}  # A build that fails leaves no images.


def _limits():
    """No more than the machine gives: engines ask for more, which not every root may grant."""
    processes = int(pathlib.Path("/proc/sys/kernel/pid_max").read_text())
    flags = []
    for name, kind, most in (("nofile", resource.RLIMIT_NOFILE, 1048576),
                             ("nproc", resource.RLIMIT_NPROC, processes)):
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        flags.append("--ulimit=%s=%d:%d" % (name, most, most))
    return flags


class Failed(AssertionError):
    """A command of the engine's, with what it said."""


class Engine:
    """`test` removes what was made here, however it ends."""

    def __init__(self, test, command):
        self._test, self._command = test, command
        self.name = command[0]
        self._own = "ursula-test-" + secrets.token_hex(6)

    def run(self, *words, check=True):
        done = subprocess.run([*self._command, *map(str, words)], capture_output=True, text=True,
                              check=False, timeout=harness.PATIENCE_S, env=harness.environment())
        if check and done.returncode != 0:
            raise Failed("%s %s: %d %s%s" % (" ".join(self._command), " ".join(map(str, words)),
                                             done.returncode, done.stdout[-2000:],
                                             done.stderr[-2000:]))
        return done.stdout + done.stderr if words[0] == "logs" else done.stdout

    def _made(self, name, remove, listed):
        """The name of what will be made next, how it is removed, and what shows that it is."""
        self._test.addCleanup(self._remove, name, remove, listed)
        return name

    def _remove(self, name, remove, listed):
        self.run(*remove, name, check=False)  # It may never have been made.
        self._test.assertNotIn(name, self.run(*listed).split())

    def _image(self, kind):
        return self._made("localhost/%s-%s" % (self._own, kind), ["rmi", "-f"],
                          ["images", "--format={{.Repository}}"])

    def base(self, tree):
        """An image of the files below `tree`."""
        name = self._image("base")
        with tempfile.NamedTemporaryFile(prefix="ursula-", suffix=".tar") as file:
            subprocess.run(["tar", "-C", str(tree), "-cf", file.name, "."], check=True)
            self.run("import", file.name, name)
        return name

    def build(self, folder):
        """An image of the Containerfile in `folder`, which nothing reaches from a network."""
        name = self._image("built")
        self.run("build", "--network=none", *_LAYERS[self.name], "-t", name,
                 "-f", os.path.join(folder, "Containerfile"), folder)
        return name

    def volume(self):
        """One that is made when it is first used."""
        return self._made(self._own + "-data", ["volume", "rm", "-f"],
                          ["volume", "ls", "--format={{.Name}}"])

    def _run_image(self, *words):
        name = self._made("%s-%s" % (self._own, secrets.token_hex(4)), ["rm", "-f", "-v"],
                          ["ps", "-a", "--format={{.Names}}"])
        return name, self.run("run", "--name", name, *_limits(), *words)

    def once(self, image, *words):
        """What `image` says when it is run with `words`, to its end."""
        return self._run_image(image, *words)[1]

    def start(self, image, *flags):
        """A container that runs `image`."""
        return Container(self, self._run_image("-d", *flags, image)[0])


class Container(harness.Client):
    def __init__(self, engine, name):
        super().__init__(0)
        self._engine, self._name = engine, name

    def logs(self):
        return self._engine.run("logs", self._name)

    def status(self):
        """The exit status, None while it runs."""
        state, status = self._engine.run("inspect", "--type=container", "--format="
                                         "{{.State.Status}} {{.State.ExitCode}}", self._name).split()
        return int(status) if state in ("exited", "stopped", "dead") else None

    def serves(self, inside):
        """Waits until it listens at its port `inside`, or has ended, and says which."""
        harness.wait_until(lambda: "listening on http" in self.logs() or self.status() is not None)
        if self.status() is not None:
            return False
        address = self._engine.run("port", self._name, "%d/tcp" % inside).split()[0]
        self.host, port = address.rsplit(":", 1)
        self.port = int(port)
        return True

    def inside(self, *command, user=None):
        """What a command in it says, as its own user or another."""
        flags = [] if user is None else ["--user=" + user]
        return self._engine.run("exec", *flags, self._name, *command)

    def stop(self):
        """The exit status."""
        self._engine.run("stop", "-t", harness.PATIENCE_S // 2, self._name)  # Then it is killed.
        return int(self._engine.run("wait", self._name))

    def remove(self):
        self._engine.run("rm", "-v", self._name)


def _runs(command):
    done = subprocess.run([*command, "info"], capture_output=True, check=False,
                          timeout=harness.PATIENCE_S, env=harness.environment())
    return done.returncode == 0


def engine_with_base(test, packages):
    """(the first engine here that runs a container, its image of `packages` and apt). Skips `test`
    where there is none."""
    found = [command for command in _ENGINES if shutil.which(command[0])
             and all(map(shutil.which, command[2:])) and _runs(command)]
    if not found:
        test.skipTest("not here: no container engine (podman or docker) runs")
    if os.geteuid() != 0:
        test.skipTest("needs root, for the owners of an image's files")
    with tempfile.TemporaryDirectory(prefix="ursula-") as folder:
        tree = pathlib.Path(folder, "root")
        tree.mkdir()
        try:
            debian_tree.make(tree, "apt", *packages)
        except debian_tree.Missing as missing:
            test.skipTest("not here: %s" % missing)
        said = []
        for command in found:
            engine = Engine(test, command)
            base = engine.base(tree)
            try:
                engine.once(base, "true")
                return engine, base
            except Failed as failed:
                said.append(str(failed).strip())
    test.skipTest("not here: no container engine that runs containers (%s)" % "; ".join(said))
