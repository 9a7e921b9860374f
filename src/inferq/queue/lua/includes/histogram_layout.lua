-- Written by `schema/histograms.py`, which says what each histogram is.

-- The upper bounds of the buckets, of times in ms; and the first slot of each histogram.
local MS_BOUNDS = {1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 1800000, 3600000}
local JOBS_BOUNDS = {1, 2, 4, 8, 16, 32, 64, 128}
local WAIT_SLOT, RUN_SLOT, TOTAL_SLOT, BATCH_SLOT = 0, 20, 40, 60
