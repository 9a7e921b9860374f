#!lua flags=allow-oom
-- Ends some jobs in a list that an outside producer has pushed and no worker has taken, and takes out ids of ended ones.
--
-- KEYS[1]  queue:{model}
-- ARGV[1]  key prefix
-- ARGV[2]  lifetime of an ended job, ms
-- ARGV[3]  model
-- ARGV[4]  priority of the list
-- ARGV[5]  how many ids, from the next to be taken on, to pass over
-- ARGV[6]  most ids to read
--
-- Returns  {jobs ended, how many ids the next call is to pass over; '' if those were all; ends, see `ends`}

--- @include "base"
--- @include "cancellation"
--- @include "clock"
--- @include "counters"
--- @include "events"
--- @include "jobs"
--- @include "keys"
--- @include "record_layout"
--- @include "records"
--- @include "unrecorded"

local queue, ttl_ms, model, priority = KEYS[1], ARGV[2], ARGV[3], ARGV[4]
local first, limit = tonumber(ARGV[5]), tonumber(ARGV[6])
local list, now = list_key(queue, priority), now_ms()
check_records()
local cancelled_count, kept = 0, first

local function is_from_outside(id)
  local status = call('GET', job_key(id, 'status'))
  return (not status or status == 'pending') and call('EXISTS', job_key(id, 'data')) == 1
end

-- Returns whether the id is to be taken out of the list.
local function cancel(id)
  local record = read_record(id)
  if record then return record:find(IS_ENDED) end
  if not is_from_outside(id) then return false end
  fail_unrecorded(queue, model, id, priority, ttl_ms, now, 'cancelled', CANCELLED)
  cancelled_count = cancelled_count + 1
  return true
end

local ids = call('LRANGE', list, -first - limit, -first - 1)
for i = #ids, 1, -1 do
  local is_fine, is_out = pcall(cancel, ids[i])
  if is_fine and is_out then call('LREM', list, -1, ids[i]) else kept = kept + 1 end
end
write_counts(now)
publish_events()
return {cancelled_count, #ids < limit and '' or format_int(kept), unreported}
