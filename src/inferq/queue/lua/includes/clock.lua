-- The server's time, by which alone the queue decides.

--- @include "base"

local function now_ms()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
