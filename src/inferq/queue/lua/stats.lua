#!lua flags=no-writes,allow-oom
-- Counts the jobs of every model that is announced, or of which jobs are kept, and tells which workers live.
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
--- @include "keys"
--- @include "known_models"
--- @include "leased_count"
--- @include "overview"
--- @include "totals"

local now = now_ms()

local function format_rate(queue)
  local is_fine, rate = pcall(read_drain_rate, queue, now)
  return string.format('%.3f', is_fine and rate or 0)
end

local models = find_models(KEYS[1])
for i, model in ipairs(models) do
  local queue = queue_key(model)
  local waiting, longest = read_waiting(queue, now)
  local submitted, _, completed, failed = read_totals(queue)
  models[i] = {model, waiting[1], waiting[2], waiting[3], count_leased(queue), read_safely('ZCARD', queue .. ':retries') or 0,
    read_safely('ZCARD', queue .. ':dead') or 0, longest, format_rate(queue), submitted, completed, failed}
end
return {models, read_workers(now), read_safely('ZCARD', prefix .. 'webhooks') or 0, read_held_bytes(), now}
