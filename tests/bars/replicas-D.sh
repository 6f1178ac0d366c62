#!/bin/bash
# Twenty-four bugs planted in replicated groups, each built into what must notice it: a simulation, or single tests. And after a promotion both old voters die at once.
# wanted: 24 of 24 caught, with the seeds or the test that took; every byte of the promoted one reads
set -euo pipefail
# What is wrong, and the test that is linked with it.
bugs="\
an old term's entry is committed by count|sim/raft commits_an_old_terms_entry_by_count
it votes twice after a crash|sim/raft forgets_its_vote_in_a_crash
it acknowledges before its own sync|sim/cluster acknowledges_before_its_own_sync
it is fresh because its leader lives|sim/cluster is_fresh_while_its_leader_lives
a next offset below the client's|golden/replicas answers_past_the_tail_of_what_is_here
no pre-vote|sim/cluster raises_terms_unasked
a frame carried out twice|golden/replicas carries_out_a_call_twice
a call carried out after its deadline|golden/replicas carries_out_what_is_too_late
a founding plan dropped with one member left|golden/meta drops_a_plan_with_one_member_left
a wiped node votes|sim/engine uses_a_replica_id_again
it applies before commit|sim/cluster applies_what_is_not_committed
a lost membership entry|sim/cluster forgets_members_that_it_acknowledged
a snapshot without producers' state|sim/cluster leaves_producers_out_of_snapshots
a fork without its pin|sim/engine forks_without_a_pin
a forwarded append sent again after an unknown outcome|sim/engine sends_a_call_again_that_had_left
a stale tail behind a snapshot|sim/cluster keeps_a_stale_tail_behind_a_snapshot
a ReadIndex context used again|sim/cluster uses_contexts_of_reads_again
a skipped waiter told 'not applied'|sim/cluster calls_what_was_skipped_not_applied
a promotion before payload is whole|sim/cluster promotes_what_lacks_payload
a checkpoint during an install|golden/replicas checkpoints_during_an_install
a late fence|golden/replicas takes_a_late_fence
one pinned group fills the log|golden/replicas tells_nobody_that_it_pins_the_log
expiry judged by a follower's own clock|sim/engine judges_expiry_by_a_followers_own_stamps
a condition judged by the forwarder|sim/engine judges_conditions_where_it_forwards"
targets=(//tests/unit/group:members_test)
while IFS='| ' read -r package name; do
  targets+=("//tests/$package:planted_${name}_test")
done < <(cut -d'|' -f2 <<<"$bugs")
verdict=0
bazel ${URSULA_BAZEL_STARTUP:-} test --symlink_prefix=.bazel/tests-plain- ${URSULA_BAZEL_FLAGS:-} \
  --disk_cache="$URSULA_DISK_CACHE" --nocache_test_results --test_output=errors --keep_going \
  -- "${targets[@]}" >&2 || verdict=1

logs=.bazel/tests-plain-testlogs/tests
caught=0
while IFS='|' read -r what test; do
  read -r package name <<<"$test"
  log=$logs/$package/planted_${name}_test/test.log
  line=$(grep -hoE "^$name: .*|caught at seed.*" "$log" 2>/dev/null | tail -n 1 | sed "s/^$name: //" | cut -c1-160)
  if [[ -n $line ]] && grep -q '  PASSED  ' "$log"; then
    caught=$((caught + 1))
  else
    line="not caught"
  fi
  echo "$what ($name): $line"
done <<<"$bugs"
promoted=fails
grep -q '  OK .*AfterAPromotionBothOldVotersDieAtOnceAndEveryByteReads' "$logs/unit/group/members_test/test.log" &&
  promoted=reads
[[ $promoted == reads ]] || verdict=1
echo "$caught of 24 caught; after a promotion both old voters die: every byte $promoted"
((caught == 24)) && exit "$verdict"
