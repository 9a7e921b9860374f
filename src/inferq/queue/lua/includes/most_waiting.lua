-- The most jobs that were seen to wait in a minute.

--- @include "base"
--- @include "minutes"

local NOTICED_GROWTH = 1.05 -- less is not worth a write with each submission

-- Notes how many jobs wait now, if they are noticeably more than were seen before in this minute.
local function note_waiting(queue, now, waiting)
  local rest, most = begin_minute(queue, now):match('^(.* )(%d+)$')
  if not rest or waiting <= (tonumber(most) or 0) * NOTICED_GROWTH then return end
  redis.pcall('LSET', queue .. ':history', 0, rest .. format_int(waiting))
end
