"""A fair part of the API's tests, again on two shards: those that do not tell which job comes first."""

from tests.integration.proxy.routes.test_batches import test_jobs_of_a_batch_have_what_they_asked_for
from tests.integration.proxy.routes.test_job_actions import (
    test_failed_jobs_are_counted_and_tried_again,
    test_jobs_are_found_by_the_time_of_their_end,
    test_key_changes_its_own_jobs_and_those_without_an_owner,
    test_waiting_jobs_are_cancelled_and_ended_ones_deleted,
)
from tests.integration.proxy.routes.test_job_errors import test_failed_jobs_are_grouped_by_their_error
from tests.integration.proxy.routes.test_job_list import (
    guarded,
    test_cursor_of_ones_own_making_is_refused,
    test_failed_jobs_are_listed_page_by_page_the_latest_first,
    test_jobs_are_found_by_what_their_error_says,
    test_pages_are_filled_with_ones_own_jobs_and_show_no_trace_of_others,
    test_waiting_jobs_of_a_model_that_nobody_serves_are_cancelled_in_one_call,
)
from tests.integration.proxy.routes.test_job_statuses import test_jobs_of_others_are_null
from tests.integration.proxy.routes.test_jobs import (
    test_cancelled_job_that_waits_never_runs,
    test_completed_job_shows_the_seeds_result,
    test_failed_job_runs_again_under_its_id_and_keeps_its_history,
    test_unknown_job_is_404_whatever_is_to_be_done_with_it,
)
from tests.integration.proxy.routes.test_queue_history import (
    test_minutes_tell_what_happened_to_the_jobs_of_a_model,
)

__all__ = [
    "guarded",
    "test_cancelled_job_that_waits_never_runs",
    "test_completed_job_shows_the_seeds_result",
    "test_cursor_of_ones_own_making_is_refused",
    "test_failed_job_runs_again_under_its_id_and_keeps_its_history",
    "test_failed_jobs_are_counted_and_tried_again",
    "test_failed_jobs_are_grouped_by_their_error",
    "test_failed_jobs_are_listed_page_by_page_the_latest_first",
    "test_jobs_are_found_by_the_time_of_their_end",
    "test_jobs_are_found_by_what_their_error_says",
    "test_jobs_of_a_batch_have_what_they_asked_for",
    "test_jobs_of_others_are_null",
    "test_key_changes_its_own_jobs_and_those_without_an_owner",
    "test_minutes_tell_what_happened_to_the_jobs_of_a_model",
    "test_pages_are_filled_with_ones_own_jobs_and_show_no_trace_of_others",
    "test_unknown_job_is_404_whatever_is_to_be_done_with_it",
    "test_waiting_jobs_are_cancelled_and_ended_ones_deleted",
    "test_waiting_jobs_of_a_model_that_nobody_serves_are_cancelled_in_one_call",
]
