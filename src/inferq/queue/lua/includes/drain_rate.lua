-- How fast jobs end.

--- @include "base"

-- How many jobs of a queue end per second: a mean that forgets with a time constant of 10 s. Those that have ended since it
-- was last brought up to date are counted beside it.
local RATE_MS = 10000

local function read_drain_rate(queue, now)
  local kept = read_safely('HMGET', queue .. ':rate', 'at_ms', 'per_second', 'ended') or {}
  local rate = (tonumber(kept[2]) or 0) + (tonumber(kept[3]) or 0) * 1000 / RATE_MS
  return rate * math.exp(math.min(0, (tonumber(kept[1]) or now) - now) / RATE_MS) -- the clock may have been set back
end

local function count_ended(queue, ended)
  redis.pcall('HINCRBY', queue .. ':rate', 'ended', ended)
end

local function update_drain_rate(queue, now)
  local rate = read_drain_rate(queue, now)
  if rate > 0 then
    redis.pcall('HSET', queue .. ':rate', 'at_ms', format_int(now), 'per_second', string.format('%.6f', rate), 'ended', '0')
  end
end
