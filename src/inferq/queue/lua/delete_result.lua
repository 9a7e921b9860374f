#!lua flags=allow-oom
-- Deletes the result of a completed job, which stays completed.
--
-- KEYS[1]  models (for the cluster's slot only)
-- ARGV[1]  key prefix
-- ARGV[2]  job id
--
-- Returns  its public status; where that is completed, it has no result any more. False where there is no such job

--- @include "base"
--- @include "jobs"
--- @include "keys"

local id = ARGV[2]
check_records()
local status = call('GET', job_key(id, 'status'))
if status == 'completed' then
  call('UNLINK', job_key(id, 'result'))
elseif not status and (find_job(id) or call('EXISTS', job_key(id, 'data')) == 1) then
  status = 'pending'
end
return status
