#!lua flags=allow-oom
-- Requeues an orphan: a job that an outside producer pushed and a worker popped but never claimed. Such a job has data and
-- the status pending, by which its producer says that it was pushed, but is in no index; so a slow scan finds it. Gives an
-- expiry to keys that outside programs left without one.
--
-- KEYS     queue:{model} of every model of this worker, the default first, which gets the job
-- ARGV[1]  key prefix
-- ARGV[2]  job id
-- ARGV[3]  how long it must have been missing, ms
-- ARGV[4]  lifetime of a job that has not ended, ms
-- ARGV[5]  1: the lists below are all that there are; 0: there may be others, so nothing is requeued
-- ARGV[6…] lists of other models, whose workers may be away: a job that waits there must not run on this worker's model
--
-- Returns  'waiting' (it is in a list), 'noted' (checked again later), 'requeued', 'missing' (it would have been requeued if
--          these lists were all), or 'known' (not such a job)

--- @include "base"
--- @include "clock"
--- @include "counters"
--- @include "keys"
--- @include "records"

local id, grace_ms, ttl_ms = ARGV[2], tonumber(ARGV[3]), ARGV[4]
local now = now_ms()
local missing_key = job_key(id, 'missing')
local status = call('GET', job_key(id, 'status'))
for _, part in ipairs({'data', 'status', 'result', 'error'}) do
  local key = job_key(id, part)
  if call('PTTL', key) == -1 then call('PEXPIRE', key, ttl_ms) end
end
if call('EXISTS', job_key(id, 'staged')) == 1 then return 'known' end -- a job of a batch that is not yet accepted
if read_record(id) or status ~= 'pending' or call('EXISTS', job_key(id, 'data')) == 0 then return 'known' end

local lists = {}
for i = 6, #ARGV do lists[#lists + 1] = ARGV[i] end -- more than unpack would take, perhaps
for _, queue in ipairs(KEYS) do
  for _, priority in ipairs(PRIORITIES) do lists[#lists + 1] = list_key(queue, priority) end
end
for _, list in ipairs(lists) do
  if read_safely('LPOS', list, id, 'RANK', -1) then
    call('UNLINK', missing_key)
    return 'waiting'
  end
end
local missing_ms = tonumber(read_safely('GET', missing_key) or '')
if not missing_ms then
  call('SET', missing_key, now, 'PX', ttl_ms)
  return 'noted'
end
if math.abs(now - missing_ms) < grace_ms then return 'noted' end
if ARGV[5] == '0' then return 'missing' end
call('UNLINK', missing_key)
call('RPUSH', KEYS[1], id)
add_count(KEYS[1], 'recovered', 1)
write_counts(now)
return 'requeued'
