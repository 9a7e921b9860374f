#!lua flags=allow-oom
-- Counts what shadow jobs have found, each once, however often it is told. What was compared of another pair of versions is
-- forgotten with the first job of a new one.
--
-- KEYS[1]  the queue of the shadow jobs
-- ARGV[1]  key prefix
-- ARGV[2]  lifetime of what is counted, ms
-- ARGV[3]  how long a job is remembered, ms
-- ARGV[4]  most jobs that differ to keep
-- ARGV[5…] for each job:
--   id
--   pair         see `comparisons`
--   submitted    when the shadow job was submitted, ms
--   verdict      agreed, differed or missed
--   and, unless it is missed: largest absolute and relative difference; jobs that shared the run of the primary, and of the
--   candidate; µs that either took; the four slots where these are counted, see `schema/run_times.py`; the JSON of a job that
--   differs, else ''
--
-- Returns  for each job 1 if it is counted now, 0 if it was before, or belongs to a pair of before

--- @include "base"
--- @include "clock"
--- @include "comparisons"
--- @include "keys"

local queue, ttl_ms, mark_ms, most = KEYS[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local comparisons = queue .. ':comparisons'
local now = format_int(now_ms())
local answers = {}

local function raise(field, value)
  local before = tonumber(call('HGET', comparisons, field) or 0) or 0
  if tonumber(value) > before then call('HSET', comparisons, field, value) end
end

local function note_difference(first)
  local absolute, relative, primary_jobs, candidate_jobs, primary_us, candidate_us = unpack(ARGV, first, first + 5)
  local primary_slot, primary_sum, candidate_slot, candidate_sum, entry = unpack(ARGV, first + 6, first + 10)
  raise('absolute', absolute)
  raise('relative', relative)
  call('HINCRBY', comparisons, 'compared', 1)
  call('HINCRBY', comparisons, 'primary|jobs', primary_jobs)
  call('HINCRBY', comparisons, 'candidate|jobs', candidate_jobs)
  call('BITFIELD', queue .. ':run-times', 'INCRBY', 'i64', '#' .. primary_slot, 1, 'INCRBY', 'i64', '#' .. primary_sum, primary_us,
    'INCRBY', 'i64', '#' .. candidate_slot, 1, 'INCRBY', 'i64', '#' .. candidate_sum, candidate_us)
  if entry == '' then return end
  call('LPUSH', queue .. ':differing', now .. ' ' .. entry)
  call('LTRIM', queue .. ':differing', 0, most - 1)
end

local function note(id, pair, submitted_ms, verdict, first)
  local known, since_ms = unpack(call('HMGET', comparisons, 'pair', 'since_ms'))
  if since_ms and tonumber(submitted_ms) < tonumber(since_ms) then return 0 end
  if not call('SET', job_key(id, 'compared'), '1', 'NX', 'PX', mark_ms) then return 0 end
  if known and known ~= pair then forget_comparisons(queue, now) end
  if known ~= pair then call('HSET', comparisons, 'pair', pair, 'since_ms', submitted_ms) end
  call('HINCRBY', comparisons, verdict, 1)
  if verdict ~= 'missed' then note_difference(first) end
  return 1
end

local i = 5
while i <= #ARGV do
  local verdict = ARGV[i + 3]
  answers[#answers + 1] = note(ARGV[i], ARGV[i + 1], ARGV[i + 2], verdict, i + 4)
  i = i + (verdict == 'missed' and 4 or 15)
end
keep_comparisons(queue, ttl_ms)
return answers
