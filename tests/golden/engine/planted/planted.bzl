"""Bugs that the simulation of a whole engine must notice."""

# The patched file for each patch, by module.
PLANTED_IN_ENGINE = {
    "calls_a_begun_deletion_not_begun": "bucket_flow.cc",
    "holds_names_for_forks_of_another_opening": "chores.cc",
    "keeps_a_bucket_for_any_placement": "bucket_flow.cc",
    "lists_no_bucket_that_is_being_deleted": "read_flow.cc",
    "refuses_a_fork_before_its_name_is_held": "fork_flow.cc",
}

PLANTED_IN_GROUP = {
    "ends_no_message_at_a_fork": "read_task.cc",
    "finds_no_soft_deleted_stream": "read_task.cc",
    "reads_on_of_a_freed_source": "read_task.cc",
    "tells_an_end_past_the_page": "read_task.cc",
}

PLANTED_IN_STREAM = {
    "compares_forks_by_their_words": "lifecycle.cc",
    "draws_no_history": "machine.cc",
    "expects_any_tail": "append.cc",
    "judges_no_precondition": "condition.cc",
    "makes_a_fork_that_is_not_resolved": "fork.cc",
    "takes_bytes_in_any_framing": "append.cc",
}

# Of a cluster: the simulation of several engines must notice these.
PLANTED_IN_ENGINES = {
    "sends_a_call_again_that_had_left": "forwarder.cc",
}

PLANTED_IN_GROUPS = {
    "judges_expiry_by_a_followers_own_stamps": "peering.cc",
}

PLANTED_IN_DIRECTORIES = {
    "uses_a_replica_id_again": "directory.cc",
}

PLANTED_IN_CLUSTER = (
    PLANTED_IN_ENGINES.keys() + PLANTED_IN_GROUPS.keys() + PLANTED_IN_DIRECTORIES.keys()
)

PLANTED_BUGS = PLANTED_IN_ENGINE.keys() + PLANTED_IN_GROUP.keys() + PLANTED_IN_STREAM.keys()
