"""Rules for our own code: warnings are errors, and every header compiles alone."""

URSULA_COPTS = [
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wshadow",
    "-Wconversion",
    "-Wno-sign-conversion",
    "-Wnon-virtual-dtor",
    "-Woverloaded-virtual",
    "-Werror",
]

_TESTS = "//tests:__subpackages__"

def _open_to_tests(visibility):
    if visibility == None:
        visibility = ["//visibility:private"]
    if "//visibility:public" in visibility or _TESTS in visibility:
        return visibility
    return [v for v in visibility if v != "//visibility:private"] + [_TESTS]

def _headers_compile_alone(name, srcs, hdrs, **kwargs):
    """A translation unit for each header that has no .cc of its own name beside it.

    The others are covered by the lint rule that x.cc includes x.h first.
    """
    alone = [h for h in hdrs if h.endswith(".h") and h[:-len(".h")] + ".cc" not in srcs]
    if not alone:
        return
    units = []
    for header in alone:
        unit = "%s_headers/%s.cc" % (name, header)
        units.append(unit)
        native.genrule(
            name = "%s_headers/%s" % (name, header),
            outs = [unit],
            cmd = "echo '#include \"%s/%s\"' > $@" % (native.package_name(), header),
        )
    native.cc_library(
        name = name + "_headers_compile_alone",
        srcs = units,
        copts = URSULA_COPTS + ["-O0", "-g0"],
        deps = [":" + name],
        **kwargs
    )

def ursula_library(
        name,
        srcs = [],
        hdrs = [],
        deps = [],
        copts = [],
        visibility = None,
        tags = [],
        testonly = False,
        **kwargs):
    """cc_library with URSULA_COPTS.

    Args:
      name: the target.
      srcs: .cc files and headers that only they include.
      hdrs: headers that other targets include. Each must compile alone.
      deps: other libraries; list each one that srcs or hdrs include from.
      copts: further compiler flags.
      visibility: private if not given. //tests sees every library either way.
      tags: as usual.
      testonly: as usual.
      **kwargs: passed to cc_library.
    """
    native.cc_library(
        name = name,
        srcs = srcs,
        hdrs = hdrs,
        copts = URSULA_COPTS + copts,
        visibility = _open_to_tests(visibility),
        tags = tags,
        testonly = testonly,
        deps = deps,
        **kwargs
    )
    _headers_compile_alone(name, srcs, hdrs, testonly = testonly, tags = tags)

def ursula_binary(name, srcs, deps = [], copts = [], visibility = None, **kwargs):
    """cc_binary with URSULA_COPTS; private if not said otherwise, but //tests may run it."""
    native.cc_binary(
        name = name,
        srcs = srcs,
        copts = URSULA_COPTS + copts,
        visibility = _open_to_tests(visibility),
        deps = deps,
        **kwargs
    )

def ursula_test(
        name,
        srcs,
        deps = [],
        size = "small",
        tags = [],
        copts = [],
        main = True,
        **kwargs):
    """A GoogleTest suite: cc_test with URSULA_COPTS.

    Args:
      name: the suite.
      srcs: .cc files and headers that only they include.
      deps: what the test uses; GoogleTest comes by itself.
      size: small, medium or large: what Bazel plans with. It ends none by it (.bazelrc).
      tags: "tsan" runs the suite under ThreadSanitizer too (give it to whatever starts threads);
        "no-san" keeps it out of the address and undefined sanitizers; "exclusive" lets no other
        suite run beside it.
      copts: further compiler flags.
      main: False if srcs bring a main() of their own.
      **kwargs: passed to cc_test (data, args, env, shard_count ...).
    """
    native.cc_test(
        name = name,
        srcs = srcs,
        copts = URSULA_COPTS + copts,
        size = size,
        tags = tags,
        deps = deps + ["//third_party/googletest:" + ("gtest_main" if main else "gtest")],
        **kwargs
    )
