"""One fuzz target, built twice: for libFuzzer, and as a test that replays its corpus."""

load("//third_party/bazel:ursula.bzl", "ursula_binary", "ursula_test")

def fuzz_target(name, srcs, deps, mutations = 3000):
    """NAME_fuzz.cc with LLVMFuzzerTestOneInput, and corpus/NAME/.

    NAME_fuzzer is the libFuzzer program (only with --config=fuzz). NAME_test, built by any compiler,
    runs the corpus and seeded mutations of it.

    Args:
      name: the target.
      srcs: NAME_fuzz.cc and what only it includes.
      deps: what srcs use.
      mutations: how many the test tries.
    """
    corpus = native.glob(["corpus/%s/*" % name])
    ursula_binary(
        name = name + "_fuzzer",
        srcs = srcs,
        testonly = True,
        linkopts = ["-fsanitize=fuzzer"],
        tags = ["manual"],
        deps = deps + [":input"],
    )
    ursula_test(
        name = name + "_test",
        srcs = srcs,
        args = ["--mutations=%d" % mutations] + ["$(location %s)" % path for path in corpus],
        data = corpus,
        main = False,
        deps = deps + [":input", ":replay"],
    )
