-- How many jobs of a model are leased.

--- @include "base"
--- @include "leases"

local MOST_CLAIMS = 10000

local function count_leased(queue)
  local count = 0
  for _, token in ipairs(read_safely('ZRANGE', queue .. ':leases', 0, MOST_CLAIMS - 1) or {}) do
    count = count + math.max(0, (read_safely('LLEN', claim_key(token)) or 0) - 1)
  end
  return count
end
