-- The history of a model, minute by minute: the list queue:{model}:history, of which the newest entry is the first. An entry is
-- written with the first change in a minute, before that is counted. So it holds how far the counts were when the minute began,
-- and a minute's numbers are what the next entry has more. The values of an entry, separated by spaces:
--
--   minutes since 1970, by the server's clock
--   jobs submitted, completed, failed, µs that jobs ran: the sums so far
--   jobs waiting then, and the most that were seen to wait since

--- @include "base"
--- @include "keys"
--- @include "totals"

local MINUTE_MS = 60000
local MOST_MINUTES = 121 -- two hours, and the minute that is under way

local function make_entry(queue, now)
  local waiting, run_us = 0, 0
  for _, priority in ipairs(PRIORITIES) do waiting = waiting + (read_safely('LLEN', list_key(queue, priority)) or 0) end
  local submitted, _, completed, failed = read_totals(queue)
  for _, us in ipairs(read_safely('HVALS', queue .. ':owners') or {}) do run_us = run_us + (tonumber(us) or 0) end
  return string.format('%d %d %d %d %d %d %d', math.floor(now / MINUTE_MS), submitted, completed, failed, run_us, waiting, waiting)
end

-- To be called before a change of a model's numbers. Returns the entry of this minute.
local function begin_minute(queue, now)
  local key, minute = queue .. ':history', math.floor(now / MINUTE_MS)
  local latest = read_safely('LINDEX', key, 0) or ''
  local of_minute = tonumber(latest:match('^%d+')) or 0
  -- one ahead: the clock was set back a little, or a replica took over; until it is there again nothing is lost
  if of_minute == minute or of_minute == minute + 1 then return latest end
  local entry = make_entry(queue, now)
  -- where the server refuses it, nothing is written: else a script that may not write at maxmemory could go on
  if type(redis.pcall('LPUSH', key, entry)) == 'table' then return entry end
  call('LTRIM', key, 0, of_minute > minute and 0 or MOST_MINUTES - 1) -- the clock may have been set back
  call('PEXPIRE', key, MOST_MINUTES * MINUTE_MS)
  return entry
end
