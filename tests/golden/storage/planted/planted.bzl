"""Tests of the tests: each links a storage stack with one bug planted in it."""

load("//third_party/bazel:ursula.bzl", "ursula_test")

# The patched file of lib/storage for each patch.
PLANTED_BUGS = {
    "acknowledges_before_the_sync": "disk_wal.cc",
    "loses_a_seal": "disk_wal.cc",
    "replays_a_torn_record": "wal_reader.cc",
    "retries_a_failed_sync": "disk_wal.cc",
    "rewrites_a_tail_block": "disk_wal.cc",
    "seals_no_torn_end": "wal_recovery.cc",
    "seeds_no_checksum": "wal_format.cc",
    "skips_the_checksum_of_a_payload": "payload_reader.cc",
    "skips_the_checksum_of_a_record": "wal_format.cc",
    "truncates_a_pinned_segment": "wal_tracker.cc",
}

def planted_sources():
    """A patched copy for each of the patches, named as it is."""
    for name, source in PLANTED_BUGS.items():
        native.genrule(
            name = name,
            srcs = ["//lib/storage:" + source, name + ".patch"],
            outs = ["%s_%s" % (name, source)],
            cmd = "cp $(location //lib/storage:%s) $@ && chmod u+w $@ && " % source +
                  "patch --quiet --fuzz=0 $@ $(location %s.patch)" % name,
            testonly = True,
            visibility = ["//tests:__subpackages__"],
        )

def planted_bug_tests(deps, **kwargs):
    """A test for each planted bug, planted_NAME_test.

    The patched file goes into the test itself, so that its functions are taken from there and the
    library's own, being defined already, are left in their archive.

    Args:
      deps: the test, linked whole.
      **kwargs: passed to ursula_test.
    """
    for name in PLANTED_BUGS:
        ursula_test(
            name = "planted_%s_test" % name,
            srcs = ["//tests/golden/storage/planted:" + name],
            env = {"PLANTED_BUG": name},
            linkstatic = True,
            main = False,
            deps = deps + [
                "//lib/base",
                "//lib/include:public",
                "//lib/io",
                "//lib/storage",
                "//third_party/abseil",
            ],
            **kwargs
        )
