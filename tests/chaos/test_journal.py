import pytest

from inferq.jobs import Status
from tests.chaos.journal import Entry, Journal, Origin


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journal")
    yield journal
    journal.close()


@pytest.fixture
def entry(journal):
    entry = Entry("a", Origin.HTTP, b"{}")
    journal.add(entry)
    return entry


def test_job_is_open_until_it_is_seen_in_a_final_state(journal, entry):
    journal.see(entry, Status.PROCESSING, 10.0)
    assert journal.open == {"a"}
    journal.see(entry, Status.COMPLETED, 11.0)
    assert journal.open == set()


@pytest.mark.parametrize("later", [None, Status.PENDING, Status.PROCESSING, Status.FAILED])
def test_final_state_that_changes_is_a_violation(journal, entry, later):
    journal.see(entry, Status.COMPLETED, 10.0)
    journal.see(entry, later, 20.0)
    assert len(journal.violations) == 1


def test_final_state_that_a_killed_server_lost_is_waited_for_again(journal, entry):
    journal.see(entry, Status.COMPLETED, 10.0)
    journal.server_kills.append(11.0)
    journal.see(entry, Status.PENDING, 12.0)
    assert (journal.violations, journal.open, journal.rolled_back) == ([], {"a"}, 1)


def test_server_killed_long_after_a_final_state_excuses_nothing(journal, entry):
    journal.see(entry, Status.COMPLETED, 10.0)
    journal.server_kills.append(100.0)
    journal.see(entry, Status.PENDING, 101.0)
    assert len(journal.violations) == 1
