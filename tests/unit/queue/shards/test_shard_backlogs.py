from inferq.queue.shards import shard_backlogs
from inferq.queue.shards.shard_backlogs import ShardBacklogs


def test_figure_is_what_was_told_last_and_what_is_about_to_come():
    backlogs = ShardBacklogs(2)
    backlogs.note(1, "iris", 5)
    backlogs.add(1, "iris", 2)
    assert [backlogs.get(shard, "iris") for shard in (0, 1)] == [0, 7]
    assert backlogs.get(1, "prices") == 0


def test_old_figure_counts_as_none(monkeypatch):
    backlogs = ShardBacklogs(1)
    backlogs.note(0, "iris", 5)
    monkeypatch.setattr(shard_backlogs, "_FRESH_SECONDS", -1.0)
    assert backlogs.get(0, "iris") == 0


def test_names_of_models_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(shard_backlogs, "_MOST_MODELS", 3)
    backlogs = ShardBacklogs(1)
    for number in range(10):
        backlogs.note(0, f"model-{number}", 1)
    assert len(backlogs._waiting) <= 3
    assert backlogs.get(0, "model-9") == 1
