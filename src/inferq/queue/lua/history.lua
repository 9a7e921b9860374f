#!lua flags=no-writes,allow-oom
-- Tells the history of some models; see `minutes`.
--
-- KEYS     queue:{model} of each
-- ARGV[1]  key prefix
--
-- Returns  {the server's time in ms,
--           {for each: what an entry of the next minute would be now, the entries, the newest first}}

--- @include "base"
--- @include "clock"
--- @include "minutes"

local now, histories = now_ms(), {}
for i, queue in ipairs(KEYS) do
  histories[i] = {make_entry(queue, now + MINUTE_MS), read_safely('LRANGE', queue .. ':history', 0, -1) or {}}
end
return {format_int(now), histories}
