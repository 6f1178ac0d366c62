"""Bugs of replicated groups, by the module that has them and by what must notice them."""

PLANTED_IN_ENGINE = {
    "answers_past_the_tail_of_what_is_here": "read_flow.cc",
    "carries_out_a_call_twice": "forwarder_serve.cc",
    "carries_out_what_is_too_late": "forwarder_serve.cc",
    "finds_no_bucket_that_is_being_deleted": "create_flow.cc",
    "judges_conditions_where_it_forwards": "append_flow.cc",
}

PLANTED_IN_GROUP = {
    "checkpoints_during_an_install": "checkpoint.cc",
    "is_fresh_while_its_leader_lives": "reads.cc",
    "keeps_a_stale_tail_behind_a_snapshot": "recovery.cc",
    "promotes_what_lacks_payload": "membership.cc",
    "raises_terms_unasked": "replica.cc",
    "remembers_members_behind_their_change": "drive.cc",
}

PLANTED_IN_RAFT = {
    "applies_what_is_not_committed": "follower.cc",
    "calls_committed_what_has_its_index": "election.cc",
    "forgets_its_vote_in_a_crash": "ready.cc",
}

PLANTED_IN_STORAGE = {
    "takes_a_refused_write_for_done": "disk_wal.cc",
    "tells_nobody_that_it_pins_the_log": "wal_tracker.cc",
}

PLANTED_IN_STREAM = {
    "forks_without_a_pin": "fork.cc",
    "leaves_producers_out_of_snapshots": "record_format.cc",
    "takes_a_late_fence": "bucket.cc",
}

# tests/sim/cluster, which runs tests of replicas too.
NOTICED_BY_GROUPS = [
    "applies_what_is_not_committed",
    "is_fresh_while_its_leader_lives",
    "keeps_a_stale_tail_behind_a_snapshot",
    "leaves_producers_out_of_snapshots",
    "promotes_what_lacks_payload",
    "raises_terms_unasked",
    "remembers_members_behind_their_change",
]

# tests/sim/engine, of three nodes.
NOTICED_BY_ENGINES = [
    "answers_past_the_tail_of_what_is_here",
    "forks_without_a_pin",
    "judges_conditions_where_it_forwards",
    "takes_a_refused_write_for_done",
]

# tests/sim/raft.
NOTICED_BY_RAFT = [
    "calls_committed_what_has_its_index",
    "forgets_its_vote_in_a_crash",
]

# Single tests, by name (tests/golden/replicas).
NOTICED_BY_TESTS = {
    "answers_past_the_tail_of_what_is_here": "LocalReadsTest.*",
    "carries_out_a_call_twice": "ClusterTest.*",
    "carries_out_what_is_too_late": "ClusterTest.*",
    "checkpoints_during_an_install": "InstallStepsTest.*",
    "finds_no_bucket_that_is_being_deleted": "BucketTest.*",
    "takes_a_late_fence": "MachineBucketTest.*",
    "tells_nobody_that_it_pins_the_log": "WalSegmentsTest.*",
}
