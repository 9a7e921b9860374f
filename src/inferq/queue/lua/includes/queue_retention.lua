-- The same of a model's whole queue.

--- @include "base"
--- @include "kept_queues"
--- @include "keys"
--- @include "retention"

local MOST_FORGOTTEN = 1000 -- of each sort; workers that are busy forget as many jobs as they end

-- Does that for a model's whole queue, a part at a time: the next look goes on behind the entries that had to stay.
local function purge_queue(queue, model, now, ttl_ms)
  for _, part in ipairs({'completed', 'dead'}) do
    local index, place_key = queue .. ':' .. part, queue .. ':look:' .. part
    local place = math.max(0, tonumber(read_safely('GET', place_key) or 0) or 0)
    local next_place = purge_ended(index, part == 'completed', now - ttl_ms, place, MOST_FORGOTTEN, MOST_FORGOTTEN)
    if next_place > 0 then
      call('SET', place_key, format_int(next_place), 'PX', ttl_ms)
    elseif place > 0 then
      call('DEL', place_key)
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
