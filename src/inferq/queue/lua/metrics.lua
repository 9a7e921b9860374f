#!lua flags=no-writes,allow-oom
-- Tells all that is counted, of every model that is announced, or of which jobs are kept, and of the workers.
--
-- KEYS[1]  models
-- ARGV[1]  key prefix
--
-- Returns  {{for each model: name, waiting at high, at normal, at low priority, running, waiting for a retry, failed,
--            ms that the longest waiting has waited or false, open, the last sequence number, and as names and values:
--            its counts, and µs that the jobs of each owner ran; its histograms or false},
--           {for each worker: id, its report as names and values},
--           ended jobs whose end is to be reported, and as names and values how many reports came to which end,
--           bytes of data that jobs have which have not ended,
--           '' or how many blobs, and bytes of them, the latest sweep has found}

--- @include "base"
--- @include "clock"
--- @include "held_bytes"
--- @include "keys"
--- @include "known_models"
--- @include "leased_count"
--- @include "overview"

local now = now_ms()

local function count_open(queue)
  local count = 0
  for _, priority in ipairs(PRIORITIES) do count = count + (read_safely('ZCARD', open_key(queue, priority)) or 0) end
  return count
end

local models = find_models(KEYS[1])
for i, model in ipairs(models) do
  local queue = queue_key(model)
  local waiting, longest = read_waiting(queue, now)
  models[i] = {model, waiting[1], waiting[2], waiting[3], count_leased(queue), read_safely('ZCARD', queue .. ':retries') or 0,
    read_safely('ZCARD', queue .. ':dead') or 0, longest, count_open(queue),
    tonumber(read_safely('GET', queue .. ':sequence') or 0) or 0, read_safely('HGETALL', queue .. ':counts') or {},
    read_safely('HGETALL', queue .. ':owners') or {}, read_safely('GET', queue .. ':histograms')}
end
return {models, read_workers(now), read_safely('ZCARD', prefix .. 'webhooks') or 0,
  read_safely('HGETALL', prefix .. 'webhooks:counts') or {}, read_held_bytes(),
  read_safely('GET', prefix .. 'blobs:usage') or ''}
