#!/usr/bin/env python3
"""What `bazel run //:install` gives an application that does not use Bazel.

Runs where Bazel runs it, at the root of its files.
"""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import harness

ROOT = pathlib.Path.cwd()
QUICKSTART = ROOT / "examples/quickstart.cc"
EMBEDDER = ROOT / "tests/integration/embedder"
COMPILER = ["g++", "-std=c++20", "-Wall", "-Wextra", "-Werror"]
# What the public headers declare and don't define.
PUBLIC = {
    "ursula::CheckMayWait()",
    "ursula::NewRuntime(ursula::RuntimeOptions const&)",
    "ursula::Status::ToString[abi:cxx11]() const",
    "ursula::StatusCodeName(ursula::StatusCode)",
    "ursula::StreamEngine::Open(ursula::EngineOptions)",
    "ursula::Version()",
}
# Of lib/base, which has no namespace of its own.
INTERNAL = {
    "ursula::Crc32c(unsigned int, std::basic_string_view<char, std::char_traits<char> >)",
    "ursula::SometimesMarks()",
}


def run(*command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=harness.PATIENCE_S, **more)
    if done.returncode != 0:
        raise AssertionError("%s\nended with %d\n%s%s" % (
            " ".join(done.args), done.returncode, done.stdout, done.stderr))
    return done.stdout


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="ursula-install-")
        cls.prefix = pathlib.Path(cls.folder.name) / "prefix"
        run(ROOT / "install", "--prefix", cls.prefix,
            env={**os.environ, "RUNFILES_DIR": os.path.dirname(ROOT)})

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def setUp(self):
        own = tempfile.TemporaryDirectory(dir=self.folder.name)
        self.addCleanup(own.cleanup)
        self.here = pathlib.Path(own.name)

    def pkg_config(self, *flags):
        environment = {**os.environ, "PKG_CONFIG_PATH": str(self.prefix / "lib/pkgconfig")}
        return run("pkg-config", *flags, "ursula", env=environment).split()

    def headers_of(self, *sources):
        """Every file that compiling the sources reads."""
        rule = run(*COMPILER, "-M", "-I", self.prefix / "include", "-x", "c++", *sources)
        return {os.path.realpath(word) for word in rule.split() if word.startswith("/")}

    def check_programs(self, quickstart, embedder):
        """Twice each: the second run finds what the first one left."""
        data = self.here / "data"
        self.assertEqual(run(quickstart, data), "hello\n")
        self.assertEqual(run(quickstart, data), "hello\nhello\n")
        own = self.here / "own"
        version = "".join(self.pkg_config("--modversion"))
        told = "version %s, two engines, %d bytes, 0 calls of the other abseil\n"
        self.assertEqual(run(embedder, data, own), "hello\n" * 3 + told % (version, 2))
        self.assertEqual(run(embedder, data, own), "hello\n" * 4 + told % (version, 4))

    def build(self, libraries):
        """quickstart and embedder with what pkg-config says; abseil is on no include path."""
        flags = self.pkg_config("--cflags")
        self.assertEqual([os.path.normpath(flag) for flag in flags],
                         ["-I%s/include" % self.prefix])
        quickstart, embedder = self.here / "quickstart", self.here / "embedder"
        run(*COMPILER, *flags, QUICKSTART, "-o", quickstart, *libraries)
        renamed = self.here / "quickstart.o"
        other = ["-I", EMBEDDER / "other_abseil", *flags]  # First.
        run(*COMPILER, *other, "-Dmain=Quickstart", "-c", QUICKSTART, "-o", renamed)
        run(*COMPILER, *other, EMBEDDER / "main.cc", EMBEDDER / "other_abseil/other_abseil.cc",
            renamed, "-o", embedder, *libraries)
        return quickstart, embedder

    def needed(self, program):
        return re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", program))

    def test_pkg_config_builds_against_the_shared_library(self):
        libdir = "".join(self.pkg_config("--variable=libdir"))
        programs = self.build([*self.pkg_config("--libs"), "-Wl,-rpath," + libdir])
        for program in programs:
            self.assertIn("libursula.so.0", self.needed(program))
            self.assertFalse([name for name in self.needed(program) if "absl" in name])
        self.check_programs(*programs)

    def test_pkg_config_builds_against_the_static_library(self):
        programs = self.build(["-Wl,-Bstatic", *self.pkg_config("--static", "--libs")])
        for program in programs:
            self.assertFalse([name for name in self.needed(program)
                              if "ursula" in name or "absl" in name])
        self.check_programs(*programs)

    def test_cmake_finds_the_package(self):
        build = self.here / "build"
        told = run("cmake", "-S", EMBEDDER, "-B", build, "-DCMAKE_PREFIX_PATH=%s" % self.prefix,
                   "-DQUICKSTART=%s" % QUICKSTART, "-DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF")
        self.assertIn("ursula %s\n" % "".join(self.pkg_config("--modversion")), told)
        run("cmake", "--build", build)
        self.assertIn("libursula.so.0", self.needed(build / "quickstart"))
        self.check_programs(build / "quickstart", build / "embedder")

    def test_cmake_finds_the_static_library(self):
        build = self.here / "build"
        run("cmake", "-S", EMBEDDER, "-B", build, "-DCMAKE_PREFIX_PATH=%s" % self.prefix,
            "-DQUICKSTART=%s" % QUICKSTART, "-DURSULA_TARGET=ursula::ursula_static",
            "-DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF")
        run("cmake", "--build", build)
        for program in (build / "quickstart", build / "embedder"):
            self.assertFalse([name for name in self.needed(program)
                              if "ursula" in name or "absl" in name])
        self.check_programs(build / "quickstart", build / "embedder")

    def test_what_is_installed_may_be_moved(self):
        moved = self.here / "moved"
        shutil.copytree(self.prefix, moved, symlinks=True)
        environment = {**os.environ, "PKG_CONFIG_PATH": str(moved / "lib/pkgconfig")}
        told = run("pkg-config", "--cflags", "--libs", "ursula", env=environment)
        self.assertNotIn(str(self.prefix), told)
        program = self.here / "quickstart"
        run(*COMPILER, QUICKSTART, "-o", program, *told.split(),
            "-Wl,-rpath,%s/lib" % moved)
        self.assertEqual(run(program, self.here / "data"), "hello\n")
        build = self.here / "build"
        run("cmake", "-S", EMBEDDER, "-B", build, "-DCMAKE_PREFIX_PATH=%s" % moved,
            "-DQUICKSTART=%s" % QUICKSTART, "-DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF")
        run("cmake", "--build", build, "--target", "quickstart")
        self.assertEqual(run(build / "quickstart", self.here / "more"), "hello\n")

    def test_the_library_is_found_by_rpath_or_by_the_linkers_path(self):
        program = self.here / "quickstart"
        run(*COMPILER, *self.pkg_config("--cflags"), QUICKSTART, "-o", program,
            *self.pkg_config("--libs"))
        alone = subprocess.run([program, self.here / "data"], capture_output=True, text=True)
        self.assertIn("libursula.so.0: cannot open shared object file", alone.stderr)
        libdir = "".join(self.pkg_config("--variable=libdir"))
        self.assertIn("libursula.so.0", run("/sbin/ldconfig", "-v", "-N", "-n", libdir))
        told = run(program, self.here / "data", env={**os.environ, "LD_LIBRARY_PATH": libdir})
        self.assertEqual(told, "hello\n")

    def test_hosts_that_fork_throw_drop_and_wait(self):
        """As EMBEDDING.md says of each."""
        program = self.here / "host"
        libdir = "".join(self.pkg_config("--variable=libdir"))
        run(*COMPILER, *self.pkg_config("--cflags"), EMBEDDER / "host.cc", "-o", program,
            *self.pkg_config("--libs"), "-Wl,-rpath," + libdir, "-pthread")
        for case in ("fork_and_exit", "open_in_the_worker", "drop_work", "throw_on_an_executor"):
            self.assertEqual(run(program, case, self.here / case), "", case)
        # 3 is the folder that ls reads.
        self.assertEqual(run(program, "fork_and_exec", self.here / "exec").split(),
                         ["0", "1", "2", "3"])
        for case, sentence in (
                ("throw_on_a_core", "terminate called after throwing"),
                ("wait_on_a_core", "Wait was called on a core of a runtime"),
                ("destroy_on_a_core", "an engine is destroyed on one of its cores")):
            ended = subprocess.run([program, case, self.here / case], capture_output=True,
                                   text=True, timeout=harness.PATIENCE_S)
            self.assertLess(ended.returncode, 0, case)
            self.assertIn(sentence, ended.stderr, case)

    def test_cmake_refuses_another_version(self):
        (self.here / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.20)\nproject(x NONE)\n"
            "find_package(ursula ${WANTED} QUIET)\nif(ursula_FOUND)\n"
            "  message(STATUS \"found ${ursula_VERSION}\")\nendif()\n")
        for wanted, found in (("0.2", True), ("0.2.0", True), ("0.1", False), ("0.3", False),
                              ("1", False)):
            told = run("cmake", "-S", self.here, "-B", self.here / wanted, "-DWANTED=" + wanted,
                       "-DCMAKE_PREFIX_PATH=%s" % self.prefix)
            self.assertEqual("found 0.2.0" in told, found, wanted)

    def test_each_header_includes_the_standard_library_alone(self):
        every = self.here / "every.cc"
        every.write_text("#include <bits/stdc++.h>\n")
        standard = self.headers_of(every)
        public = set((self.prefix / "include/ursula").iterdir())
        self.assertEqual({path.name for path in public},
                         {path.name for path in (ROOT / "lib/include/ursula").iterdir()})
        for header in sorted(public):
            others = self.headers_of(header) - standard - {str(path) for path in public}
            self.assertEqual(others, set(), header.name)

    def defined(self, flags, library):
        """(kind, name) of each symbol that the library defines."""
        told = run("nm", "--demangle", "--defined-only", *flags, self.prefix / "lib" / library)
        return {(kind, name) for kind, name in
                re.findall(r"^[0-9a-f]{16} (\S) (.*)$", told, re.MULTILINE)}

    def test_shared_library_exports_the_public_functions_alone(self):
        exported = self.defined(["--dynamic"], "libursula.so.0")
        self.assertEqual({name for _, name in exported}, PUBLIC)

    def test_functions_of_namespace_ursula_are_public_or_known_as_internal(self):
        names = {name for kind, name in self.defined([], "libursula.a") if kind == "T"}
        inner = re.compile(r"(.* to )?ursula::[a-z_]+::")  # Of a module's namespace.
        self.assertEqual({name for name in names if not inner.match(name)}, PUBLIC | INTERNAL)

    def test_the_server_is_of_the_same_version(self):
        version = "".join(self.pkg_config("--modversion"))
        for name in ("ursulad", "ursulactl"):
            self.assertEqual(run(self.prefix / "bin" / name, "--version"),
                             "%s %s\n" % (name, version))


if __name__ == "__main__":
    harness.main()
