#!/usr/bin/env python3
"""Plants each violation in a small clean tree and sees that lint finds it there, and only there."""
import pathlib
import sys
import tempfile
import unittest

import cpp
import lint

CLEAN = {
    "WORKSPACE": "",
    "lib/base/BUILD.bazel":
        'cc_library(name = "base", srcs = ["a.cc"], hdrs = ["a.h"],'
        ' deps = ["//lib/include:public"])\n',
    "lib/base/README.md": "base\n",
    "lib/base/a.h": "#pragma once\n\nint A();\n",
    "lib/base/a.cc":
        '#include "lib/base/a.h"\n\n#include <string>\n\n'
        'int A() { return 1\'000; }  // throw std::mutex\n'
        'const char* s = "throw std::mutex time(0)";\n'
        'const char* raw = R"x(throw " std::mutex)x";\n',
    "lib/include/BUILD.bazel": 'cc_library(name = "public", hdrs = glob(["ursula/*.h"]))\n',
    "lib/include/README.md": "public\n",
    "lib/include/ursula/types.h": "#pragma once\n",
    "lib/raft/BUILD.bazel":
        'cc_library(name = "raft", srcs = glob(["*.cc"]), deps = ["//lib/base"])\n',
    "lib/raft/README.md": "raft\n",
    "lib/raft/r.cc":
        '#include <vector>\n\n#include "lib/base/a.h"\n#include "ursula/types.h"\n',
    "lib/stream/BUILD.bazel":
        'cc_library(name = "stream", srcs = ["s.cc"], deps = ["//lib/base"])\n',
    "lib/stream/README.md": "stream\n",
    "lib/stream/s.cc": '#include "lib/base/a.h"\n',
    "tests/lint/ratchet.txt": "# none\n",
    "third_party/zlib/BUILD.bazel": "",
    "third_party/zlib/README.md": "- Version: 1 (Debian 12: `zlib1g-dev`)\n- Licence: Zlib\n",
}

UNFINISHED = "TO" + "DO"


def findings(changes):
    with tempfile.TemporaryDirectory() as root:
        for path, text in {**CLEAN, **changes}.items():
            if text is None:
                continue
            file = pathlib.Path(root) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return lint.check(root).findings


def source(line, path="lib/stream/s.cc"):
    return {path: CLEAN.get(path, "") + line + "\n"}


def long_functions(lines):
    return "int F() {\n%s  return 1;\n}\n" % ("  G();\n" * (lines - 3))


# lib/raft has nothing below it but lib/base and the public headers.
NOT_FOR_RAFT = [
    '#include "lib/%s/x.h"' % m for m in (
        "cold", "engine", "group", "io", "io/uring", "objects", "storage", "stream")
] + ['#include "server/protocol/x.h"', '#include "tests/support/x.h"'] + [
    "#include <%s>" % h for h in (
        "absl/strings/str_cat.h", "atomic", "fstream", "google/protobuf/message.h",
        "grpcpp/grpcpp.h", "liburing.h", "mutex", "random", "simdjson.h", "sys/socket.h", "thread",
        "unistd.h")
]

# (rule, path where it is found, changes to the clean tree)
PLANTED = [
    ("layers", "lib/stream/s.cc", source('#include "lib/io/op.h"')),
    ("layers", "lib/stream/s.cc", source('#include "lib/raft/core.h"')),
    ("layers", "lib/stream/s.cc", source("#include <liburing.h>")),
    ("layers", "lib/stream/s.cc", source("#include <grpcpp/grpcpp.h>")),
    ("layers", "lib/stream/s.cc", source('#include "tests/support/x.h"')),
    ("layers", "lib/base/a.cc", source('#include "lib/stream/s.h"', "lib/base/a.cc")),
    ("layers", "lib/include/ursula/types.h",
     source('#include "absl/status/status.h"', "lib/include/ursula/types.h")),
    ("layers", "lib/stream/BUILD.bazel", {
        "lib/stream/BUILD.bazel": 'cc_library(name = "s", srcs = ["s.cc"], deps = ["//lib/io"])'}),
    ("layers", "lib/stream/BUILD.bazel", {
        "lib/stream/BUILD.bazel":
            'cc_library(name = "s", srcs = ["s.cc"], deps = ["//third_party/curl"])'}),
    ("layers", "lib/novel", {
        "lib/novel/BUILD.bazel": 'x(srcs = ["n.cc"])', "lib/novel/README.md": "n\n",
        "lib/novel/n.cc": "int n;\n"}),
    ("top_level", "tools", {"tools/x.sh": "true\n"}),
    ("file_size", "lib/stream/s.cc", source("\n" * 600)),
    ("file_size", "tests/lint/ratchet.txt", {"tests/lint/ratchet.txt": "lib/gone.cc 700\n"}),
    ("file_size", "tests/lint/ratchet.txt",
     {**source("\n" * 650), "tests/lint/ratchet.txt": "lib/stream/s.cc 700\n"}),
    ("function_size", "lib/stream/s.cc", source(long_functions(71))),
    ("file_size", "lib/raft/r.cc", source("\n" * 500, "lib/raft/r.cc")),
    ("pragma_once", "lib/base/a.h", {"lib/base/a.h": "int A();\n"}),
    ("own_header_first", "lib/base/a.cc",
     {"lib/base/a.cc": '#include <string>\n\n#include "lib/base/a.h"\n'}),
    ("include_path", "lib/base/a.cc", source('#include "b.h"', "lib/base/a.cc")),
    ("include_path", "lib/stream/s.cc", source("#include <lib/base/a.h>")),
    ("include_path", "lib/stream/s.cc", source('#include "lib/include/ursula/types.h"')),
    ("in_a_target", "lib/stream/forgotten.cc", {"lib/stream/forgotten.cc": "int f;\n"}),
    ("module_files", "lib/stream", {"lib/stream/README.md": None}),
    ("dependency_readme", "third_party/zlib", {"third_party/zlib/README.md": "zlib\n"}),
    ("dependency_installed", "third_party/zlib/README.md",
     {"lib/stream/BUILD.bazel": CLEAN["lib/stream/BUILD.bazel"] + '#"//third_party/zlib"\n',
      "third_party/debian/build.txt": "g++\n", "third_party/debian/test.txt": "zlib1g-dev\n"}),
    # Another dependency's.
    ("dependency_installed", "third_party/zlib/README.md",
     {"tests/a/BUILD.bazel": '#"//third_party/grpc"\n',
      "third_party/grpc/BUILD.bazel": '#"//third_party/zlib"\n',
      "third_party/grpc/README.md": "- Version: 1\n- Licence: Zlib\n"}),
    ("public_surface", "lib/include/ursula",
     {"lib/include/ursula/x%d.h" % i: "#pragma once\n" for i in range(10)}),
    ("machine_path", "lib/base/README.md", {"lib/base/README.md": "see /ho" "me/me/x\n"}),
    ("machine_path", "tests/x.json", {"tests/x.json": '"https://regi' 'stry.example.org/y"\n'}),
    ("unfinished", "lib/base/README.md", {"lib/base/README.md": UNFINISHED + ": more\n"}),
    ("threads", "lib/stream/s.cc", source("std::mutex m;")),
    ("threads", "lib/base/a.cc", source("thread_local int t;", "lib/base/a.cc")),
    ("threads", "lib/base/a.cc", source("std::thread t;", "lib/base/a.cc")),
    ("clocks", "lib/base/a.cc", source("auto t = time(nullptr);", "lib/base/a.cc")),
    ("clocks", "lib/base/a.cc", source("std::chrono::steady_clock::now();", "lib/base/a.cc")),
    ("clocks", "tests/unit/x_test.cc",
     {"tests/unit/x_test.cc": "void F() { std::this_thread::sleep_for(x); }\n",
      "tests/unit/BUILD.bazel": 'x(srcs = ["x_test.cc"])\n'}),
    ("entropy", "lib/base/a.cc", source("std::random_device d;", "lib/base/a.cc")),
    ("entropy", "lib/base/a.cc", source("int r = rand();", "lib/base/a.cc")),
    ("atomic_pointers", "lib/base/a.cc",
     source("std::atomic<std::shared_ptr<int>> p;", "lib/base/a.cc")),
    ("coroutines", "lib/base/a.cc", source("auto F() { co_return 1; }", "lib/base/a.cc")),
    ("futures", "lib/base/a.cc", source("std::promise<int> p;", "lib/base/a.cc")),
    ("throw", "lib/base/a.cc", source("void F() { throw 1; }", "lib/base/a.cc")),
    ("assert", "lib/base/a.cc", source("void F() { assert(true); }", "lib/base/a.cc")),
    ("console", "lib/base/a.cc", source('void F() { printf("x"); }', "lib/base/a.cc")),
    ("pure", "lib/stream/s.cc", source("#include <atomic>")),
    ("public_names", "lib/include/ursula/types.h",
     source("struct RaftThing;", "lib/include/ursula/types.h")),
    ("using_namespace_std", "lib/base/a.cc", source("using namespace std;", "lib/base/a.cc")),
]


class LintTest(unittest.TestCase):
    def test_the_clean_tree_is_clean(self):
        self.assertEqual([f for f in findings({}) if f[0] != "format"], [])

    def test_each_planted_violation_is_found_where_it_is(self):
        for rule, path, changes in PLANTED:
            with self.subTest(rule=rule, path=path):
                found = {(r, p) for r, p, _, _ in findings(changes) if r != "format"}
                self.assertIn((rule, path), found)
                self.assertEqual({r for r, _ in found}, {rule})

    def test_raft_may_use_nothing_but_base_and_the_public_headers(self):
        for line in NOT_FOR_RAFT:
            with self.subTest(line=line):
                found = findings(source(line, "lib/raft/r.cc"))
                self.assertEqual({p for r, p, _, _ in found if r in ("layers", "pure")},
                                 {"lib/raft/r.cc"})
        for label in ("//lib/io", "//lib/storage", "//third_party/abseil"):
            build = CLEAN["lib/raft/BUILD.bazel"].replace("//lib/base", label)
            found = findings({"lib/raft/BUILD.bazel": build})
            self.assertIn(("layers", "lib/raft/BUILD.bazel"), {(r, p) for r, p, _, _ in found})

    def test_one_long_function_among_many_is_found_in_raft(self):
        short = "".join("int F%d() { return 1; }\n" % i for i in range(100))
        path = "lib/raft/r.cc"
        found = findings({path: CLEAN[path] + short + long_functions(71)})
        self.assertIn(("function_size", path), {(r, p) for r, p, _, _ in found})
        self.assertEqual(findings({path: CLEAN[path] + short + long_functions(70)}), [])

    def test_every_rule_has_a_planted_violation(self):
        # clang-format has its own tests.
        self.assertEqual(set(lint.RULES) - {rule for rule, _, _ in PLANTED}, {"format"})

    def test_every_finding_says_what_to_do(self):
        for _, _, changes in PLANTED:
            for _, _, _, message in findings(changes):
                self.assertGreater(len(message), 10)


class FunctionsTest(unittest.TestCase):
    def names(self, text):
        return [name for name, _, _ in cpp.functions(cpp.strip(text))]

    def test_functions_are_told_from_scopes_and_values(self):
        text = """
            namespace a::b {
            struct S : Base<int(int)> {
              S() : x_{1}, y_(2) {}
              explicit S(int x) noexcept : x_{x} { F(); }
              int Get() const { if (x_) { return 1; } return 2; }
              bool operator==(const S& other) const = default;
              bool operator()(int a) { return a; }
              int x_{0};
              std::array<int, 2> y_ = {1, 2};
            };
            enum class E { kOne, kTwo };
            constexpr int kTable[] = {1, 2, 3};
            template <class T>
            T Max(T a, T b) { return a > b ? a : b; }
            auto lambda = [](int x) { return x; };
            TEST(SuiteTest, Claim) { EXPECT_EQ(1, 1); }
            }  // namespace a::b
        """
        self.assertEqual(self.names(text), [
            "S", "S", "Get", "operator", "Max", "TEST"])

    def test_lines_of_a_function_are_those_of_its_body(self):
        text = '#define X(a) \\\n  { a }\n\nint F(\n    int x) {\n  G();\n  /* }\n } */\n}\n'
        self.assertEqual(cpp.functions(cpp.strip(text)), [("F", 5, 5)])

    def test_braces_in_strings_and_characters_do_not_count(self):
        text = "int F() { return '{' + \"{{\"[0] + 1'000; }\nint G() { return 1; }\n"
        self.assertEqual(self.names(text), ["F", "G"])


if __name__ == "__main__":
    sys.argv = sys.argv[:1]
    unittest.main()
