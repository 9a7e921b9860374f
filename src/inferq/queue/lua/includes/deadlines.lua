-- By when jobs must have started that say so: an index of each model, which they leave when they end. A job whose time is over is
-- found in it, wherever it stands in the queue.

--- @include "base"

local function deadlines_key(queue)
  return queue .. ':deadlines'
end

-- Another program may have made something else of the key: then a job is only ended when its turn comes.
local function note_deadline(queue, id, start_by_ms, ttl_ms)
  local index = deadlines_key(queue)
  redis.pcall('ZADD', index, start_by_ms, id)
  if call('PTTL', index) < tonumber(ttl_ms) then call('PEXPIRE', index, ttl_ms) end
end

local function drop_deadline(queue, id)
  redis.pcall('ZREM', deadlines_key(queue), id)
end
