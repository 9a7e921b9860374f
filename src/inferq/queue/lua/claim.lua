#!lua flags=allow-oom
-- Leases jobs of one model to a worker: the oldest of the first priority that has any.
--
-- KEYS     queue:{model} of every model to claim from, the first to try first
-- ARGV[1]  key prefix
-- ARGV[2]  lease, ms
-- ARGV[3]  worker id
-- ARGV[4]  fencing token of this claim: a claim repeated with it gets the same jobs again
-- ARGV[5]  how long a job may wait before it has expired, ms
-- ARGV[6]  lifetime of an ended job, ms
-- ARGV[7]  largest data handed out here, bytes; the caller fetches what is larger
-- ARGV[8]  the priorities, the first to try first, separated by spaces
-- ARGV[9]  1: also a job that must run alone, since a worker died with it; 0: not now
-- ARGV[10…] for each queue in KEYS: its model, the model's version, most jobs to lease of it
--
-- Returns  {model or '', ids, data of each or its length; joined by commas: when each was submitted in ms since 1970, request ids,
--          traceparents;
--          {index among these, attempt, longest run in ms or '', output or '', 1 if it must run alone or ''; of each job of which
--          one of these is not as usual},
--          priority of the list in which a job that must run alone stood in the way, or '', the version that their records show,
--          and, only if any, ends, see `ends`}

--- @include "base"
--- @include "claim_again"
--- @include "claiming"
--- @include "jobs"
--- @include "keys"

check_records()
local again = claim_again()
if again then return again end
takes_alone = ARGV[9] == '1'

local function find_waiting()
  for _, priority in ipairs(order) do
    for i, queue in ipairs(KEYS) do
      local most = tonumber(ARGV[9 + 3 * i] or 0) -- of what nothing is taken would be found for ever
      if most > 0 and call('EXISTS', list_key(queue, priority)) == 1 then return i end
    end
  end
end

local queue, model, i = KEYS[1], '', find_waiting()
while i and #claimed == 0 and scan_budget > 0 do
  queue, model = KEYS[i], ARGV[7 + 3 * i]
  choose_model(ARGV[8 + 3 * i])
  claim_from_queue(queue, model, tonumber(ARGV[9 + 3 * i]))
  i = #claimed == 0 and scan_budget > 0 and find_waiting()
end
return finish_claim(queue, model)
