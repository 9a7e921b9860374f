-- Which workers live.

--- @include "base"

local MOST_READ = 1000
local AHEAD_MS = 10000 -- a heartbeat later than this was sent before the clock was set back, at an unknown time

-- The ids of workers whose heartbeat is kept; one whose report is gone has died.
local function find_live_workers(now)
  local seen_by = format_int(now + AHEAD_MS)
  return read_safely('ZRANGEBYSCORE', prefix .. 'workers', '-inf', seen_by, 'LIMIT', 0, MOST_READ) or {}
end
