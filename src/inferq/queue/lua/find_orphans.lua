#!lua flags=no-writes,allow-oom
-- Tells which jobs the scan for orphans has to check: those that no script of ours has seen, and those with a key that
-- would never expire.
--
-- KEYS[1]  models (for the cluster's slot only)
-- ARGV[1]  key prefix
-- ARGV[2…] job ids
--
-- Returns  the ids among them that have to be checked

--- @include "base"
--- @include "keys"

local found = {}
for i = 2, #ARGV do
  local id = ARGV[i]
  local is_ours = read_safely('HEXISTS', RECORDS, id) ~= 0 or call('EXISTS', job_key(id, 'staged')) == 1
  if not is_ours or call('PTTL', job_key(id, 'status')) == -1 then found[#found + 1] = id end
end
return found
