-- Stores some of many jobs, which are to be accepted all together by `batch_commit`: until then they are in no index, and
-- their ids are told to no one.
--
-- KEYS[1]  models (for the cluster's slot only)
-- ARGV[1]  key prefix
-- ARGV[2]  lifetime of a job that has not ended, ms
-- ARGV[3…] seven for each job: id, model, priority, data ('' where it has been set already), options, request id, traceparent; as
--          for `submit`
--
-- Returns  nothing

--- @include "base"
--- @include "clock"
--- @include "keys"
--- @include "submission"

local NONE = {}
local now = format_int(now_ms())
for i = 3, #ARGV, 7 do
  local options = ARGV[i + 4] == '' and NONE or cjson.decode(ARGV[i + 4])
  local staged_key = job_key(ARGV[i], 'staged')
  if call('EXISTS', staged_key) == 0 then -- else this call is repeated
    call('PSETEX', staged_key, ARGV[2], store_job(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], options, ARGV[i + 5],
      ARGV[i + 6], ARGV[2], now))
  end
end
