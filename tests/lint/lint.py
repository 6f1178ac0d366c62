#!/usr/bin/env python3
"""Checks the tree against the rules that a compiler does not know.

usage: tests/lint/lint.py [ROOT]
Prints path:line: rule: what, and what to do instead. As a test it also writes a case per rule.
"""
import ast
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import xml.sax.saxutils

import bans
import cpp
import layers

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
# Folders that hold to limits of their own, without exception: (lines a file, lines a function).
STRICT_SIZES = {"lib/raft/": (500, 70)}
LONG_FUNCTIONS_SHARE_MAX = 0.03
PUBLIC_HEADERS_MAX = 10
TOP_LEVEL = {"WORKSPACE", "BUILD.bazel", "lib", "server", "examples", "tests", "third_party",
             "docs", "README.md", "LICENSE"}

RULES = ["layers", "top_level", "file_size", "function_size", "pragma_once", "own_header_first",
         "include_path", "in_a_target", "module_files", "dependency_readme", "dependency_installed", "public_surface",
         "machine_path", "unfinished", "format"] + [ban.rule for ban in bans.BANS]

_CPP = (".cc", ".h")
_OURS = ("lib/", "server/", "examples/", "tests/")
_SKIPPED_FOLDERS = {".git", ".bazel", ".cache", "node_modules", "ursula-data", "__pycache__"}
_SKIPPED_FILES = {".git", "user.bazelrc", "compile_commands.json"}
# Put together here, so that this file may be read too.
_MACHINE_PATH = re.compile(r"(?<![\w.])/(work|root|home)/\w")
_REGISTRY = re.compile(r"https?://[\w.-]*(registry|npmjs|pypi|debian\.org/debian)[\w./-]*")
_UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")


class Tree:
    """The files of a checkout that git would take, and what lint found in them."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.texts = {}
        self.findings = []  # (rule, path, line, message)
        self.notes = []
        for folder, folders, files in os.walk(self.root):
            folders[:] = sorted(f for f in folders if f not in _SKIPPED_FOLDERS and
                                not f.startswith("bazel-"))
            for name in sorted(files):
                path = os.path.relpath(os.path.join(folder, name), self.root)
                if name not in _SKIPPED_FILES and not name.startswith("bazel-"):
                    self._read(path)
        self.cpp = [p for p in self.texts if p.endswith(_CPP) and p.startswith(_OURS)]
        self.stripped = {p: cpp.strip(self.texts[p]) for p in self.cpp}

    def _read(self, path):
        try:
            self.texts[path] = (self.root / path).read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError):
            pass

    def say(self, rule, path, line, message):
        self.findings.append((rule, path, line, message))


def check_words(tree):
    for path in tree.cpp:
        for rule, line, message in bans.check(path, tree.stripped[path]):
            tree.say(rule, path, line, message)
    for path, text in tree.texts.items():
        for number, line in enumerate(text.splitlines(), 1):
            if _MACHINE_PATH.search(line) or _REGISTRY.search(line):
                tree.say("machine_path", path, number, "names one machine: use a relative path, a"
                         " variable, or nothing")
            if _UNFINISHED.search(line):
                tree.say("unfinished", path, number, "finish it, or write it down in docs/ROADMAP")


def check_include_layers(tree):
    for path in tree.cpp:
        user = layers.module_of(path)
        for line, header, quoted in cpp.includes(tree.texts[path]):
            check_include_path(tree, path, line, header, quoted)
            if user is None:
                continue
            used = layers.PUBLIC if header.startswith("ursula/") else layers.module_of(header)
            if header.startswith("tests/") and user != "examples":
                tree.say("layers", path, line, "%s includes %s: only tests do" % (user, header))
            elif used is not None and not layers.may_use_module(user, used):
                tree.say("layers", path, line, forbidden(user, used, layers.LAYERS[user][0]))
            dependency = layers.dependency_of_include(header)
            if dependency and not layers.may_use_dependency(user, dependency):
                tree.say("layers", path, line,
                         forbidden(user, dependency, layers.LAYERS[user][1]))


def check_include_path(tree, path, line, header, quoted):
    known = ("lib/", "server/", "tests/", "examples/", "ursula/", "absl/")
    if not quoted and header.startswith(known[:-1]):
        tree.say("include_path", path, line, 'write "%s"' % header)
    elif quoted and not header.startswith(known) and not layers.dependency_of_include(header):
        tree.say("include_path", path, line, "include by path from the root of the checkout")
    elif header.startswith("lib/include/"):
        tree.say("include_path", path, line, 'write "%s"' % header[len("lib/include/"):])


def forbidden(user, used, allowed):
    return "%s may not use %s (it may use: %s); see tests/lint/layers.py" % (
        user, used, ", ".join(allowed) or "the standard library")


def labels_of_deps(text):
    """(line, label) of each string in a deps attribute of a BUILD file."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.keyword) and node.arg == "deps":
            for inner in ast.walk(node.value):
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                    yield inner.lineno, inner.value


def check_build_layers(tree):
    for path, text in tree.texts.items():
        if os.path.basename(path) != "BUILD.bazel" or not path.startswith(_OURS):
            continue
        user = layers.module_of(os.path.dirname(path))
        try:
            labels = list(labels_of_deps(text))
        except SyntaxError as error:
            tree.say("layers", path, error.lineno or 1, "cannot be read: %s" % error.msg)
            continue
        for line, label in labels:
            package = label[2:].split(":")[0] if label.startswith("//") else None
            if user is None or package is None:
                continue
            if package.startswith("third_party/"):
                dependency = package.split("/")[1]
                if not layers.package_may_use_dependency(user, dependency):
                    tree.say("layers", path, line,
                             forbidden(user, dependency, layers.LAYERS[user][1]))
                continue
            used = layers.module_of(package)
            if used is not None and not layers.may_use_module(user, used):
                tree.say("layers", path, line, forbidden(user, used, layers.LAYERS[user][0]))


def read_ratchet(tree):
    """Files that may be longer than the limit: path -> lines. It only shrinks."""
    ratchet = {}
    for line in tree.texts.get("tests/lint/ratchet.txt", "").splitlines():
        if line.strip() and not line.startswith("#"):
            path, lines = line.split()
            ratchet[path] = int(lines)
    return ratchet


def check_file_sizes(tree):
    ratchet = read_ratchet(tree)
    for path in tree.cpp:
        lines = tree.texts[path].count("\n")
        limit = ratchet.pop(path, FILE_LINES_MAX)
        if lines > limit:
            tree.say("file_size", path, lines, "%d lines, at most %d: split it by topic" % (
                lines, limit))
        elif limit > FILE_LINES_MAX and lines < limit:
            tree.say("file_size", "tests/lint/ratchet.txt", 1,
                     "%s has %d lines now: write that" % (path, lines))
    for path in ratchet:
        tree.say("file_size", "tests/lint/ratchet.txt", 1, "%s is gone: remove it" % path)


def check_function_sizes(tree):
    count, long_ones = 0, []
    for path in tree.cpp:
        for name, line, lines in cpp.functions(tree.stripped[path]):
            count += 1
            if lines > FUNCTION_LINES_MAX:
                long_ones.append((lines, path, line, name))
    share = len(long_ones) / count if count else 0
    tree.notes.append("functions: %d, of which %d (%.2f %%) have more than %d lines" % (
        count, len(long_ones), 100 * share, FUNCTION_LINES_MAX))
    for lines, path, line, name in sorted(long_ones, reverse=True):
        tree.notes.append("  %s:%d: %s has %d lines" % (path, line, name, lines))
        if share > LONG_FUNCTIONS_SHARE_MAX:
            tree.say("function_size", path, line, "%s has %d lines, and more than %g %% of all"
                     " functions are longer than %d: split it" % (
                         name, lines, 100 * LONG_FUNCTIONS_SHARE_MAX, FUNCTION_LINES_MAX))


def check_strict_sizes(tree):
    for path in tree.cpp:
        for folder, (file_max, function_max) in STRICT_SIZES.items():
            if not path.startswith(folder):
                continue
            lines = tree.texts[path].count("\n")
            if lines > file_max:
                tree.say("file_size", path, lines, "%d lines, at most %d in %s: split it by topic"
                         % (lines, file_max, folder))
            for name, line, lines in cpp.functions(tree.stripped[path]):
                if lines > function_max:
                    tree.say("function_size", path, line, "%s has %d lines, at most %d in %s:"
                             " split it" % (name, lines, function_max, folder))


def check_headers(tree):
    for path in tree.cpp:
        if path.endswith(".h"):
            if not re.search(r"^#pragma once$", tree.texts[path], re.MULTILINE):
                tree.say("pragma_once", path, 1, "begin with #pragma once")
            continue
        own = path[:-len(".cc")] + ".h"
        if own not in tree.texts:
            continue
        name = own[len("lib/include/"):] if own.startswith("lib/include/") else own
        found = cpp.includes(tree.texts[path])
        if not found or found[0][1] != name:
            tree.say("own_header_first", path, found[0][0] if found else 1,
                     'include "%s" first, which proves that it compiles alone' % name)


def check_targets(tree):
    """A source that no BUILD file names is neither compiled nor tested."""
    for path in tree.cpp:
        folder = os.path.dirname(path)
        while folder and folder + "/BUILD.bazel" not in tree.texts:
            folder = os.path.dirname(folder)
        build = tree.texts.get(folder + "/BUILD.bazel" if folder else "BUILD.bazel", "")
        inside = os.path.relpath(path, folder or ".")
        stem, extension = os.path.splitext(inside)
        # A row of targets made of names: [name + ".cc"] for name in [...].
        in_a_row = 'name + "%s"' % extension in build and '"%s"' % stem in build
        named = '"%s"' % inside in build or in_a_row
        globbed = any(pathlib.PurePath(inside).match(p)
                      for p in re.findall(r'"([^"\n]*\*[^"\n]*)"', build) if "glob(" in build)
        if not named and not globbed:
            tree.say("in_a_target", path, 1, "no target of %s/BUILD.bazel has it" % (folder or "."))


def check_folders(tree):
    top = {path.split("/")[0] for path in tree.texts}
    for name in sorted(top):
        if not name.startswith(".") and name not in TOP_LEVEL:
            tree.say("top_level", name, 1, "the top level holds only: " + " ".join(
                sorted(TOP_LEVEL)))
    modules = {"/".join(p.split("/")[:2]) for p in tree.cpp
               if p.startswith(("lib/", "server/")) and p.count("/") >= 2}
    for module in sorted(modules):
        for name in ("BUILD.bazel", "README.md"):
            if module + "/" + name not in tree.texts:
                tree.say("module_files", module, 1, "a module has a " + name)
        if layers.module_of(module) in (None, "lib", "server"):
            tree.say("layers", module, 1, "give the module its row in tests/lint/layers.py")
    used = {p.split("/")[1] for p in tree.texts
            if p.startswith("third_party/") and p.endswith("/BUILD.bazel")} - {"bazel"}
    for dependency in sorted(used):
        text = tree.texts.get("third_party/%s/README.md" % dependency, "")
        if "Version:" not in text or "Licence:" not in text:
            tree.say("dependency_readme", "third_party/" + dependency, 1,
                     "its README.md states Version:, Licence: and why it and not another")
    public = [p for p in tree.cpp if p.startswith("lib/include/")]
    if len(public) > PUBLIC_HEADERS_MAX:
        tree.say("public_surface", "lib/include/ursula", 1, "%d public headers, at most %d" % (
            len(public), PUBLIC_HEADERS_MAX))


def check_installed(tree):
    """What server/start and tests/run install is all that their targets depend on."""
    lists = {name: {line for line in tree.texts.get("third_party/debian/%s.txt" % name,
                                                    "").splitlines() if line[:1] != "#"}
             for name in ("build", "test")}
    builds = {p: set(re.findall(r"//third_party/(\w+)", text)) - {"bazel"}
              for p, text in tree.texts.items() if p.endswith("BUILD.bazel")}
    def needed(folders):
        found, new = set(), set().union(*(builds[p] for p in builds if p.startswith(folders)))
        while new - found:
            found |= new
            new = set().union(*(builds.get("third_party/%s/BUILD.bazel" % d, set())
                                for d in found))
        return found
    for folders, names in ((("lib/", "server/"), ("build",)),
                           (("examples/", "tests/"), ("build", "test"))):
        listed = set().union(*(lists[name] for name in names))
        for dependency in sorted(needed(folders)):
            readme = "third_party/%s/README.md" % dependency
            for package in re.findall(r"`([^`]+)`", "".join(
                    re.findall(r"\(Debian 12: (.*?)\)", tree.texts.get(readme, "")))):
                if package not in listed:
                    tree.say("dependency_installed", readme, 1,
                             "a target of %s depends on it, and no list that is installed has %s:"
                             " add it to third_party/debian/%s.txt" % (
                                 folders[0], package, names[-1]))


def check_format(tree):
    if not shutil.which("clang-format") or not (tree.root / ".clang-format").exists():
        return
    def run(paths):
        return subprocess.run(["clang-format", "--dry-run", "-Werror", *paths], cwd=tree.root,
                              capture_output=True, text=True).stderr
    batches = [tree.cpp[i:i + 20] for i in range(0, len(tree.cpp), 20)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        errors = "".join(pool.map(run, batches))
    for path in sorted(set(re.findall(r"^(\S+?):\d+:\d+: error", errors, re.MULTILINE))):
        tree.say("format", path, 1, "clang-format -i " + path)


def check(root):
    """The tree at root, with all that was found in it."""
    tree = Tree(root)
    for step in (check_words, check_include_layers, check_build_layers, check_file_sizes,
                 check_function_sizes, check_strict_sizes, check_headers, check_targets,
                 check_folders, check_installed, check_format):
        step(tree)
    return tree


def write_xml(findings, output):
    """A case per rule, in the format that tests/run counts."""
    cases = []
    for rule in RULES:
        lines = ["%s:%d: %s" % (p, n, m) for r, p, n, m in findings if r == rule]
        failure = "<failure message=%s/>" % xml.sax.saxutils.quoteattr(
            "; ".join(lines[:5])) if lines else ""
        cases.append('<testcase classname="lint" name="%s" time="0">%s</testcase>' % (
            rule, failure))
    with open(output, "w") as f:
        f.write('<testsuites><testsuite name="lint">%s</testsuite></testsuites>' % "".join(cases))


def main(argv):
    # Under Bazel this file is a link into the checkout.
    root = argv[1] if len(argv) > 1 else pathlib.Path(os.path.realpath(__file__)).parents[2]
    tree = check(root)
    findings = tree.findings
    print("\n".join(tree.notes))
    for rule, path, line, message in sorted(findings, key=lambda f: (f[1], f[2])):
        print("%s:%d: %s: %s" % (path, line, rule, message))
    print("lint: %d findings" % len(findings))
    if os.environ.get("XML_OUTPUT_FILE"):
        write_xml(findings, os.environ["XML_OUTPUT_FILE"])
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
