"""Bugs that the tests of lib/meta must notice."""

# The patched file of lib/meta for each patch.
PLANTED_BUGS = {
    "asks_nobody_whom_it_has_met": "founding.cc",
    "becomes_a_member_before_all_hold": "founding.cc",
    "counts_directories_that_are_not_named": "founding.cc",
    "drops_a_plan_that_others_hold": "founding.cc",
    "drops_a_plan_with_one_member_left": "founding.cc",
    "joins_any_member_of_its_node": "founding.cc",
    "keeps_a_plan_that_is_dead": "founding.cc",
    "takes_a_plan_that_does_not_name_it": "founding.cc",
    "takes_what_answers_another_process": "founding.cc",
    "takes_what_comes_late": "founding.cc",
    "tells_what_is_not_durable": "founding.cc",
}
