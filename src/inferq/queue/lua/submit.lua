-- Accepts a job whose data has been set in the same transaction, or refuses it and leaves nothing behind.
--
-- KEYS[1]  queue:{model}
-- ARGV[1]  key prefix
-- ARGV[2]  job id
-- ARGV[3]  model
-- ARGV[4]  priority: high, normal or low
-- ARGV[5]  lifetime of a job that has not ended, ms
-- ARGV[6]  most jobs that may wait for the model
-- ARGV[7]  longest run, ms, or '' for the model's own
-- ARGV[8]  name of the key that may read the job, or ''
--
-- Returns  {'accepted', jobs waiting}
--          {'known', status}            the id was accepted before: a repeated submit changes nothing
--          {'full', jobs waiting, jobs that ended per 1,000 s of late}       refused

local queue, id, model, priority = KEYS[1], ARGV[2], ARGV[3], ARGV[4]
local ttl_ms, max_queued = ARGV[5], tonumber(ARGV[6])
local meta = job_key(id, 'meta')

local state = redis.call('HGET', meta, 'state')
if state then
  local status = redis.call('GET', job_key(id, 'status'))
  if status == 'completed' then redis.call('UNLINK', job_key(id, 'data')) end
  -- data set anew must not outlive an ended job: the job would read as pending again
  if state == 'ended' then redis.call('PEXPIRE', job_key(id, 'data'), redis.call('PTTL', meta)) end
  return {'known', status}
end

local depth = depth_of(queue)
if depth >= max_queued then
  redis.call('UNLINK', job_key(id, 'data'))
  return {'full', depth, math.floor(drain_rate(queue, now_ms()) * 1000)}
end

local sequence = redis.call('INCR', queue .. ':sequence')
redis.call('SET', job_key(id, 'status'), 'pending', 'PX', ttl_ms)
redis.call('HSET', meta, 'state', 'queued', 'model', model, 'priority', priority, 'sequence', sequence,
  'attempts', 0, 'failures', 0, 'submitted_ms', now_ms(), 'timeout_ms', ARGV[7], 'owner', ARGV[8])
redis.call('PEXPIRE', meta, ttl_ms)
redis.call('ZADD', open_key(queue, priority), sequence, id)
redis.call('LPUSH', list_key(queue, priority), id)
return {'accepted', depth + 1}
