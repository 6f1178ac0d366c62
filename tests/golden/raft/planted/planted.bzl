"""Tests of the tests: each links a core with one bug planted in it."""

load("//third_party/bazel:ursula.bzl", "ursula_test")

# The patched file of lib/raft for each patch.
PLANTED_BUGS = {
    "acknowledges_what_is_not_durable": "core.cc",
    "answers_a_read_before_an_own_term_commit": "read.cc",
    "answers_a_read_without_a_quorum": "replication.cc",
    "commits_an_old_terms_entry_by_count": "replication.cc",
    "commits_by_the_incoming_half_alone": "tracker.cc",
    "elects_by_the_incoming_half_alone": "tracker.cc",
    "forgets_the_term_in_a_persisted_answer": "ready.cc",
    "ignores_the_lease": "step.cc",
    "keeps_a_vote_across_terms": "core.cc",
    "sends_an_entry_twice_after_a_probe": "replication.cc",
    "votes_for_a_stale_log": "election.cc",
    "votes_twice_in_a_term": "election.cc",
}

def planted_sources():
    """A patched copy for each of the patches, named as it is."""
    for name, source in PLANTED_BUGS.items():
        native.genrule(
            name = name,
            srcs = ["//lib/raft:" + source, name + ".patch"],
            outs = ["%s_%s" % (name, source)],
            cmd = "cp $(location //lib/raft:%s) $@ && chmod u+w $@ && " % source +
                  "patch --quiet --fuzz=0 $@ $(location %s.patch)" % name,
            testonly = True,
            visibility = ["//tests:__subpackages__"],
        )

def planted_bug_tests(srcs, deps, unnoticed = [], **kwargs):
    """A test for each planted bug, planted_NAME_test.

    The patched file goes into the test itself, so that its functions are taken from there and the
    library's own, being defined already, are left in their archive.

    Args:
      srcs: the test.
      deps: what it uses.
      unnoticed: bugs that srcs are known not to notice; others do.
      **kwargs: passed to ursula_test.
    """
    for name in [n for n in PLANTED_BUGS if n not in unnoticed]:
        ursula_test(
            name = "planted_%s_test" % name,
            srcs = srcs + ["//tests/golden/raft/planted:" + name],
            env = {"PLANTED_BUG": name},
            linkstatic = True,
            main = False,
            # They test the checkers, whose own suites run under the sanitizers.
            tags = ["no-san"],
            deps = deps + [
                "//lib/base",
                "//lib/include:public",
                "//lib/raft",
            ],
            **kwargs
        )
