"""Tests of the tests: each links a module with one bug planted in it."""

load("//third_party/bazel:ursula.bzl", "ursula_test")

def planted_sources(module, bugs):
    """A patched copy for each of the patches, named as it is.

    Args:
      module: the package of the sources.
      bugs: the file to patch for each patch.
    """
    for name, source in bugs.items():
        native.genrule(
            name = name,
            srcs = ["%s:%s" % (module, source), name + ".patch"],
            outs = ["%s_%s" % (name, source)],
            cmd = "cp $(location %s:%s) $@ && chmod u+w $@ && " % (module, source) +
                  "patch --quiet --fuzz=0 $@ $(location %s.patch)" % name,
            testonly = True,
            visibility = ["//tests:__subpackages__"],
        )

def planted_bug_tests(patches, bugs, deps, srcs = [], unnoticed = [], env = {}, **kwargs):
    """A test for each planted bug, planted_NAME_test.

    The patched file goes into the test itself, so that its functions are taken from there and the
    library's own, being defined already, are left in their archive.

    Args:
      patches: the package of planted_sources.
      bugs: as there.
      deps: what the test and the patched file use.
      srcs: the test.
      env: of the test.
      unnoticed: bugs that the test is known not to notice; others do.
      **kwargs: passed to ursula_test.
    """
    for name in [n for n in bugs if n not in unnoticed]:
        ursula_test(
            name = "planted_%s_test" % name,
            srcs = srcs + ["%s:%s" % (patches, name)],
            env = dict(env, PLANTED_BUG = name),
            linkstatic = True,
            main = False,
            # They test the checkers, whose own suites run under the sanitizers.
            tags = ["no-san"],
            deps = deps,
            **kwargs
        )
