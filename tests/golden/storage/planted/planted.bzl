"""Bugs that the simulation or the exhaustive tests must notice."""

# The patched file of lib/storage for each patch.
PLANTED_BUGS = {
    "acknowledges_before_the_sync": "disk_wal.cc",
    "cuts_what_a_newer_release_wrote": "wal_reader.cc",
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
