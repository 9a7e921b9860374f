-- How many jobs of a queue its workers end per second: a mean that forgets with a time constant of 10 s.

--- @include "base"

local RATE_MS = 10000

-- How many there have been so far. Jobs that were cancelled or have expired do not show how fast workers are.
local function count_drained(queue)
  local ended, fields = 0, read_safely('HGETALL', queue .. ':counts') or {}
  for i = 1, #fields, 2 do
    local field = fields[i]
    if field == 'completed' or (field:find('^failed|') and field ~= 'failed|cancelled' and field ~= 'failed|expired') then
      ended = ended + (tonumber(fields[i + 1]) or 0)
    end
  end
  return ended
end

-- The mean at present, and the number that it is made with. What has ended since it was last written is added as it is.
local function read_drain_rate(queue, now)
  local kept, ended = read_safely('HMGET', queue .. ':rate', 'at_ms', 'per_second', 'ended') or {}, count_drained(queue)
  local rate = (tonumber(kept[2]) or 0) + math.max(0, ended - (tonumber(kept[3]) or 0)) * 1000 / RATE_MS
  return rate * math.exp(math.min(0, (tonumber(kept[1]) or now) - now) / RATE_MS), ended -- the clock may have been set back
end
