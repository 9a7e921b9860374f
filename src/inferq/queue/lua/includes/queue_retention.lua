-- Purges a model's whole queue, a part at a time.

--- @include "base"
--- @include "kept_queues"
--- @include "keys"
--- @include "retention"

local MOST_PURGED = 1000 -- of each sort; workers that are busy purge as many jobs as they end

-- The next call goes on behind the entries that had to stay.
local function purge_queue(queue, model, now, ttl_ms)
  for _, part in ipairs({'completed', 'dead'}) do
    local index, cursor_key = queue .. ':' .. part, queue .. ':cursor:' .. part
    local cursor = math.max(0, tonumber(read_safely('GET', cursor_key) or 0) or 0)
    local next_cursor = purge_ended(index, part == 'completed', now - ttl_ms, cursor, MOST_PURGED, MOST_PURGED)
    if next_cursor > 0 then
      call('SET', cursor_key, format_int(next_cursor), 'PX', ttl_ms)
    elseif cursor > 0 then
      call('DEL', cursor_key)
    end
  end
  local indexes = {queue .. ':completed', queue .. ':dead', queue .. ':leases', queue .. ':retries'}
  for _, priority in ipairs(PRIORITIES) do indexes[#indexes + 1] = open_key(queue, priority) end
  if call('EXISTS', unpack(indexes)) > 0 then
    note_queue(model)
  else
    redis.pcall('SREM', prefix .. 'jobs:queues', model)
  end
end
