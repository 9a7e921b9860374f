#!lua flags=no-writes,allow-oom
-- Counts the jobs of every model that is announced, or of which jobs are kept, and tells which workers live. Reads no payload,
-- and of each list no more than its end.
--
-- KEYS[1]  models
-- ARGV[1]  key prefix
--
-- Returns  {{for each model: name, waiting at high, at normal, at low priority, running, waiting for a retry, failed,
--            ms that the longest waiting has waited or false, jobs that end per second as text;
--            how many there have been: submitted, completed, failed},
--           {for each worker: id, its report as names and values},
--           ended jobs whose end is to be reported,
--           bytes of data that jobs have which have not ended,
--           time of this call, ms}

--- @include "base"
--- @include "clock"
--- @include "drain_rate"
--- @include "held_bytes"
--- @include "jobs"
--- @include "keys"
--- @include "known_models"
--- @include "leased_count"
--- @include "totals"

local now = now_ms()
local LAST = 10 -- an ended job's id may stay in a list until its turn comes
local MOST_WORKERS = 1000
local AHEAD_MS = 10000 -- a heartbeat later than this was sent before the clock was set back, at an unknown time

local function find_longest_wait(list)
  local ids = read_safely('LRANGE', list, -LAST, -1) or {}
  for i = #ids, 1, -1 do
    local job = find_job(ids[i])
    if job and job.state == 'queued' then return math.max(0, now - (tonumber(job.submitted_ms) or now)) end
  end
  return false
end

local function format_rate(queue)
  local is_fine, rate = pcall(read_drain_rate, queue, now)
  return string.format('%.3f', is_fine and rate or 0)
end

local function read_model(model)
  local queue, waiting, longest = queue_key(model), {}, false
  for i, priority in ipairs(PRIORITIES) do
    local list = list_key(queue, priority)
    waiting[i] = read_safely('LLEN', list) or 0
    local wait = find_longest_wait(list)
    if wait and wait > (longest or -1) then longest = wait end
  end
  local submitted, _, completed, failed = read_totals(queue)
  return {model, waiting[1], waiting[2], waiting[3], count_leased(queue),
    read_safely('ZCARD', queue .. ':retries') or 0, read_safely('ZCARD', queue .. ':dead') or 0, longest, format_rate(queue),
    submitted, completed, failed}
end

local models, workers = find_models(KEYS[1]), {}
for i, model in ipairs(models) do models[i] = read_model(model) end
local seen_by = format_int(now + AHEAD_MS)
for _, id in ipairs(read_safely('ZRANGEBYSCORE', prefix .. 'workers', '-inf', seen_by, 'LIMIT', 0, MOST_WORKERS) or {}) do
  workers[#workers + 1] = {id, read_safely('HGETALL', prefix .. 'worker:' .. id) or {}}
end
return {models, workers, read_safely('ZCARD', prefix .. 'webhooks') or 0, read_held_bytes(), now}
