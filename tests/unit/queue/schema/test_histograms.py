"""Histograms as they are kept in Redis."""

import struct

from inferq.queue.schema.histograms import decode_histograms, lua_include
from inferq.queue.schema.record import LUA_INCLUDES


def test_include_says_what_the_layout_says():
    assert (LUA_INCLUDES / "histogram_layout.lua").read_text(encoding="utf-8") == lua_include()


def test_nothing_stored_is_nothing_observed():
    histograms = decode_histograms(None)
    assert list(histograms) == ["wait", "run", "total", "batch"]
    for histogram in histograms.values():
        assert len(histogram.counts) == len(histogram.bounds) + 1
        assert (set(histogram.counts), histogram.total) == ({0}, 0.0)


def test_bounds_are_seconds_or_jobs_and_ascend():
    histograms = decode_histograms(None)
    assert histograms["wait"].bounds[:3] == histograms["run"].bounds[:3] == (0.001, 0.002, 0.005)
    assert histograms["batch"].bounds[-1] == 128.0
    for histogram in histograms.values():
        assert list(histogram.bounds) == sorted(set(histogram.bounds))


def test_slots_are_counts_by_bucket_and_the_sum():
    wait = decode_histograms(struct.pack(">20q", *range(18), 7, 2500) + b"half")["wait"]
    assert (wait.counts, wait.total) == ((*range(18), 7), 2.5)
