"""Bugs that the histories and the simulation must notice."""

# The patched file of lib/raft for each patch.
PLANTED_BUGS = {
    "acknowledges_what_is_not_durable": "core.cc",
    "answers_a_read_before_an_own_term_commit": "read.cc",
    "answers_a_read_without_a_quorum": "replication.cc",
    "answers_for_a_snapshot_twice": "ready.cc",
    "commits_an_old_terms_entry_by_count": "replication.cc",
    "commits_by_the_incoming_half_alone": "tracker.cc",
    "drops_a_snapshots_answer_of_an_older_term": "ready.cc",
    "elects_by_the_incoming_half_alone": "tracker.cc",
    "forgets_that_a_snapshot_was_lost": "core.cc",
    "forgets_the_term_in_a_persisted_answer": "ready.cc",
    "ignores_the_lease": "step.cc",
    "keeps_a_vote_across_terms": "core.cc",
    "sends_an_entry_twice_after_a_probe": "replication.cc",
    "votes_for_a_stale_log": "election.cc",
    "votes_twice_in_a_term": "election.cc",
}
