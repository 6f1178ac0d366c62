"""Bugs that the simulation of replicated groups, or the tests of replicas, must notice."""

# The patched file of lib/group for each patch.
PLANTED_BUGS = {
    "acknowledges_before_its_own_sync": "drive.cc",
    "asks_no_majority_for_a_read": "replica.cc",
    "calls_committed_what_is_cut_off": "drive.cc",
    "calls_what_was_skipped_not_applied": "catching_up.cc",
    "fetches_no_payload": "catching_up.cc",
    "forgets_members_that_it_acknowledged": "drive.cc",
    "installs_what_is_not_durable": "install.cc",
    "is_fresh_as_of_when_it_asked_last": "barrier.cc",
    "is_fresh_before_it_has_applied": "barrier.cc",
    "uses_contexts_of_reads_again": "barrier.cc",
    "waits_for_a_majority_for_ever": "peering.cc",
}
