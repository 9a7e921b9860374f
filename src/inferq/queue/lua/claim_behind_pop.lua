#!lua flags=allow-oom
-- Leases the job that the BRPOP before this call, on the same connection, has popped, and those that wait behind it. The script has
-- to find out which job that was; where it cannot tell, it leases none.
--
-- KEYS     queue:{model} of every model whose lists the BRPOP popped from
-- ARGV[1]  key prefix
-- ARGV[2]  lease, ms; up to ARGV[8] as for `claim`, but this claim is never repeated
-- ARGV[9]  the lifetime that pop:{token} had before the BRPOP, ms
-- ARGV[10…] for each queue in KEYS: its model, the model's version, most jobs to lease of it
--
-- Returns  as `claim`

--- @include "base"
--- @include "claiming"
--- @include "jobs"
--- @include "keys"
--- @include "popped"
--- @include "record_layout"

local sure_ms = tonumber(ARGV[9])
local MOST_QUEUES = 16 -- more are not searched for what was popped
local AWAKE_MS = 50 -- a worker that has waited longer may be gone, and takes one job: others need not wait for a lease

-- Whether programs from outside have pushed or run jobs of late.
local function has_outside_programs(queues)
  local traces = {}
  for i, queue in ipairs(queues) do traces[i] = queue .. ':outside' end
  return call('EXISTS', unpack(traces)) > 0
end

-- Whether a job may be the popped one: it waits, but not in its list.
local function may_be_popped(id, list, waits)
  return (read_safely('HGET', RECORDS, id) or ''):find(IS_QUEUED) and read_safely('GET', job_key(id, 'status')) == 'pending' and
    not (waits and call('LPOS', list, id, 'RANK', -1, 'MAXLEN', 1000))
end

-- The job that the BRPOP popped: the index of its queue, its id and its priority, and whether any other waits. Nothing where
-- it cannot be told, as several may have been popped, or some by programs from outside.
local function find_popped()
  if #KEYS > MOST_QUEUES or has_outside_programs(KEYS) then return nil end
  local lists = {}
  for _, queue in ipairs(KEYS) do
    for _, priority in ipairs(order) do lists[#lists + 1] = list_key(queue, priority) end
  end
  local waits, index, id, priority = call('EXISTS', unpack(lists)) > 0, nil, nil, nil
  for i, queue in ipairs(KEYS) do
    for _, list_priority in ipairs(order) do
      local list, below = list_key(queue, list_priority), '+inf'
      if waits then below = find_popped_bound(queue, list_priority) end
      if not below then return nil end
      for _, open_id in ipairs(call('ZREVRANGEBYSCORE', open_key(queue, list_priority), below, '-inf', 'LIMIT', 0, 2)) do
        if may_be_popped(open_id, list, waits) then
          if id then return nil end
          index, id, priority = i, open_id, list_priority
        end
      end
    end
  end
  return index, id, priority, waits
end

check_records()
local left_ms = call('PTTL', prefix .. 'pop:' .. token)
-- the BRPOP may have ended for want of jobs, or its worker asks anew, or the clock has been set back meanwhile
if left_ms <= 0 or left_ms > sure_ms then return finish_claim(KEYS[1], '') end
local i, id, priority, waits = find_popped()
if not id then return finish_claim(KEYS[1], '') end

local queue, model = KEYS[i], ARGV[7 + 3 * i]
choose_model(ARGV[8 + 3 * i])
local _, answer = claim_each(queue, model, {id}, priority)
if answer == 'next' and waits and sure_ms - left_ms < AWAKE_MS then
  claim_from_queue(queue, model, tonumber(ARGV[9 + 3 * i]))
end
return finish_claim(queue, model)
