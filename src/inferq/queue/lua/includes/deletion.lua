-- The keys and the record of a job that is deleted.

--- @include "base"
--- @include "keys"
--- @include "list_removal"

-- Deletes them; job is nil where it has no record. Returns whether its id may still stand in its list: a job that did not end
-- in the hands of its worker is taken out of it as far as that is looked at.
local function delete_job(id, job)
  for _, part in ipairs({'data', 'status', 'result', 'error'}) do call('UNLINK', job_key(id, part)) end
  call('HDEL', RECORDS, id)
  if not job then return false end
  local queue = queue_key(job.model)
  redis.pcall('ZREM', queue .. ':dead', id)
  return not job.token and not remove_from_list(queue, id, job.priority)
end
