-- The jobs of a claim share its lease: an entry of `leases` by the claim's token, and a list of the model and the jobs that
-- are still leased with it.

--- @include "base"

local function claim_key(token)
  return prefix .. 'claim:' .. token
end

-- Takes jobs out of the lease that they have, which ends with the last of its jobs.
local function end_lease(queue, token, ids)
  local key = claim_key(token)
  if (read_safely('LLEN', key) or 0) - 1 > #ids then
    for _, id in ipairs(ids) do call('LREM', key, 1, id) end
    return
  end
  call('UNLINK', key)
  call('ZREM', queue .. ':leases', token)
end
