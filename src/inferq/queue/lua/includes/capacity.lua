-- How many jobs wait.

--- @include "base"
--- @include "keys"

-- How many jobs wait for a model; or nil, and which of the keys that a job goes into holds what no part of inferq has written.
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
