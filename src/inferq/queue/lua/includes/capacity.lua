-- Whether the keys that a new job goes into can be used, and how many jobs wait there.

--- @include "base"
--- @include "keys"

-- How many jobs wait for a model; or nil, and which of those keys another program has made something else of.
local function count_waiting(queue, priority)
  local depth, open, sequence = 0, open_key(queue, priority), queue .. ':sequence'
  for _, each in ipairs(PRIORITIES) do
    local waiting = read_safely('LLEN', list_key(queue, each))
    if not waiting then return nil, list_key(queue, each) end
    depth = depth + waiting
  end
  if not read_safely('ZCARD', open) then return nil, open end
  local last = redis.pcall('GET', sequence)
  if last and not (type(last) == 'string' and last:match('^%d+$')) then return nil, sequence end
  return depth
end
