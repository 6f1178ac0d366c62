"""Tests of the oracle: each links a core with one bug planted in it."""

load("//third_party/bazel:ursula.bzl", "ursula_test")

def planted_bug_tests(srcs, bugs):
    """A test for each of planted/*.patch.

    The patched file goes into the test itself, so that its functions are taken from there and the
    library's own, being defined already, are left in their archive.

    Args:
      srcs: the test.
      bugs: the patched file of lib/raft for each patch.
    """
    for name, source in bugs.items():
        patched = "planted/%s_%s" % (name, source)
        native.genrule(
            name = name + "_source",
            srcs = ["//lib/raft:" + source, "planted/%s.patch" % name],
            outs = [patched],
            cmd = "cp $(location //lib/raft:%s) $@ && chmod u+w $@ && " % source +
                  "patch --quiet --fuzz=0 $@ $(location planted/%s.patch)" % name,
            testonly = True,
        )
        ursula_test(
            name = "planted_%s_test" % name,
            srcs = srcs + [patched],
            args = ["$(location random-392.tar.zst)"],
            data = ["random-392.tar.zst"],
            linkstatic = True,
            main = False,
            deps = [
                ":scripts",
                "//lib/base",
                "//lib/include:public",
                "//lib/raft",
            ],
        )
