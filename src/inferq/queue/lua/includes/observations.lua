-- What is observed of jobs that a worker ends, and of the runs that they shared; see `schema/histograms.py`.

--- @include "counters"
--- @include "histogram_layout"

-- Adds equal values to a histogram, and their sum.
local function observe(queue, first_slot, bounds, value, number, sum)
  local bucket = 0
  while bucket < #bounds and value > bounds[bucket + 1] do bucket = bucket + 1 end
  add_to(queue, ':histograms', first_slot + bucket, number)
  add_to(queue, ':histograms', first_slot + #bounds + 1, sum)
end

-- Observes jobs that were submitted, first started and ended at the same times.
local function observe_ends(queue, submitted_ms, started_ms, now, number)
  local wait, total = math.max(0, started_ms - submitted_ms), math.max(0, now - submitted_ms) -- the clock may be set back
  observe(queue, WAIT_SLOT, MS_BOUNDS, wait, number, number * wait)
  observe(queue, TOTAL_SLOT, MS_BOUNDS, total, number, number * total)
end

-- When a job first started since it was submitted, or since a user had it tried again.
local function find_first_start(job)
  local submitted_ms, first_ms = tonumber(job.submitted_ms), tonumber(job.started_ms)
  for name, attempt in pairs(job) do
    local started_ms = name:find('^attempt:') and tonumber(attempt.started_ms)
    if started_ms and started_ms >= submitted_ms then first_ms = math.min(first_ms, started_ms) end
  end
  return first_ms
end

local function observe_end(queue, job, now)
  if job.submitted_ms and job.started_ms then observe_ends(queue, tonumber(job.submitted_ms), find_first_start(job), now, 1) end
end

-- Observes a run. Each job has an equal part of its time; `owners` has how many jobs of which owner were settled. A run of which
-- several calls settle jobs is one for the histograms: the call that has its first job counts it.
local function observe_run(queue, owners, run_us, jobs, has_first)
  for owner, number in pairs(owners) do add_to(queue, ':owners', owner, math.floor(run_us * number / jobs + 0.5)) end
  if has_first then
    observe(queue, RUN_SLOT, MS_BOUNDS, run_us / 1000, 1, run_us)
    observe(queue, BATCH_SLOT, JOBS_BOUNDS, jobs, 1, jobs)
  end
end
