-- What is observed of jobs that a worker ends, and of the runs that they shared; see `schema/histograms.py`. It is added up, and
-- written once by `write_observations`.

--- @include "base"
--- @include "counters"
--- @include "histogram_layout"

local observed = {} -- by queue, by slot

-- Adds equal values to a histogram, and their sum.
local function observe(queue, first_slot, bounds, value, number, sum)
  local slots, count, bucket = observed[queue] or {}, #bounds, 0
  observed[queue] = slots
  for i = 1, count do
    if value <= bounds[i] then break end
    bucket = i
  end
  local sum_slot = first_slot + count + 1
  bucket = first_slot + bucket
  slots[bucket] = (slots[bucket] or 0) + number
  slots[sum_slot] = (slots[sum_slot] or 0) + sum
end

-- Observes jobs that were submitted, first started and ended at the same times.
local function observe_ends(queue, submitted_ms, started_ms, now, number)
  local wait, total = math.max(0, started_ms - submitted_ms), math.max(0, now - submitted_ms) -- the clock may be set back
  observe(queue, WAIT_SLOT, MS_BOUNDS, wait, number, number * wait)
  observe(queue, TOTAL_SLOT, MS_BOUNDS, total, number, number * total)
end

-- Observes a job by its record. It first started since it was submitted, or since a user had it tried again.
local function observe_end(queue, job, now)
  local submitted_ms, first_ms = tonumber(job.submitted_ms), tonumber(job.started_ms)
  if not submitted_ms or not first_ms then return end
  for name, attempt in pairs(job) do
    local started_ms = name:find('^attempt:') and tonumber(attempt.started_ms)
    if started_ms and started_ms >= submitted_ms then first_ms = math.min(first_ms, started_ms) end
  end
  observe_ends(queue, submitted_ms, first_ms, now, 1)
end

-- Observes runs that took the same time, mostly one. Each job has an equal part of its run's time; `owners` has how many jobs of
-- which owner were settled. A run of which several calls settle jobs is one for the histograms: the call that has its first job
-- counts it; `runs` tells of how many it has.
local function observe_run(queue, owners, run_us, jobs, runs)
  for owner, number in pairs(owners) do add_to(queue, ':owners', owner, math.floor(run_us * number / jobs + 0.5)) end
  if runs > 0 then
    observe(queue, RUN_SLOT, MS_BOUNDS, run_us / 1000, runs, runs * run_us)
    observe(queue, BATCH_SLOT, JOBS_BOUNDS, jobs, runs, runs * jobs)
  end
end

local function write_observations()
  for queue, slots in pairs(observed) do
    local arguments, last = {}, 0
    for slot, number in pairs(slots) do
      arguments[last + 1], arguments[last + 2], arguments[last + 3] = 'INCRBY', 'i64', '#' .. slot
      arguments[last + 4], last = format_int(number), last + 4
    end
    redis.pcall('BITFIELD', queue .. ':histograms', unpack(arguments))
  end
end
