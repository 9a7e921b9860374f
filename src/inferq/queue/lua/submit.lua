-- Accepts jobs, or refuses them and leaves nothing behind. Short data comes with them; longer data has been set in the
-- same transaction.
--
-- KEYS[1]  models (for the cluster's slot only)
-- ARGV[1]  key prefix
-- ARGV[2]  lifetime of a job that has not ended, ms
-- ARGV[3]  most jobs that may wait for a model
-- ARGV[4…] six for each job:
--   id, model,
--   priority     high, normal or low
--   data         or '' where it has been set already
--   longest run  ms, or '' for the model's own
--   owner        name of the key that may read the job, or ''
--
-- Returns  for each job:
--          {'accepted', jobs waiting}
--          {'known', status}            the id was accepted before: a repeated submit changes nothing
--          {'full', jobs waiting, jobs that ended per 1,000 s of late}       refused

local ttl_ms, max_queued = ARGV[2], tonumber(ARGV[3])
local now = now_ms()
local depths = {}

local function submit(id, model, priority, data, timeout_ms, owner)
  local meta, queue = job_key(id, 'meta'), queue_key(model)
  local state = redis.call('HGET', meta, 'state')
  if state then
    local status = redis.call('GET', job_key(id, 'status'))
    if data == '' and status == 'completed' then redis.call('UNLINK', job_key(id, 'data')) end
    -- data set anew must not outlive an ended job: the job would read as pending again
    if state == 'ended' then redis.call('PEXPIRE', job_key(id, 'data'), redis.call('PTTL', meta)) end
    return {'known', status}
  end

  local depth = depths[queue] or depth_of(queue)
  if depth >= max_queued then
    redis.call('UNLINK', job_key(id, 'data'))
    return {'full', depth, math.floor(drain_rate(queue, now) * 1000)}
  end
  depths[queue] = depth + 1

  local sequence = redis.call('INCR', queue .. ':sequence')
  if data ~= '' then redis.call('SET', job_key(id, 'data'), data, 'PX', ttl_ms) end
  redis.call('SET', job_key(id, 'status'), 'pending', 'PX', ttl_ms)
  redis.call('HSET', meta, 'state', 'queued', 'model', model, 'priority', priority, 'sequence', sequence,
    'attempts', 0, 'failures', 0, 'submitted_ms', now, 'timeout_ms', timeout_ms, 'owner', owner)
  redis.call('PEXPIRE', meta, ttl_ms)
  redis.call('ZADD', open_key(queue, priority), sequence, id)
  redis.call('LPUSH', list_key(queue, priority), id)
  return {'accepted', depth + 1}
end

local answers = {}
for i = 4, #ARGV, 6 do
  answers[#answers + 1] = submit(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
end
return answers
