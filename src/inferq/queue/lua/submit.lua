-- Accepts jobs, or refuses them and leaves nothing behind. Short data comes with them; longer data has been set in the
-- same transaction.
--
-- KEYS[1]  models (for the cluster's slot only)
-- ARGV[1]  key prefix
-- ARGV[2]  lifetime of a job that has not ended, ms
-- ARGV[3]  most jobs that may wait for a model
-- ARGV[4]  1: all of the jobs or none; 0: each for itself
-- ARGV[5…] five for each job:
--   id, model,
--   priority     high, normal or low
--   data         or '' where it has been set already
--   options      '' or a JSON object of what is not usual:
--                timeout_ms   longest run
--                owner        name of the key that may read the job
--                webhook      where to report the end
--                idempotency  {key, fingerprint, ttl_ms}: a later submit with this key gets this job, or with ARGV[4] = 1
--                             all of these jobs; read from the first job alone in that case
--
-- Returns  for each job:
--          {'accepted', jobs waiting}
--          {'known', status}            the id was accepted before: a repeated submit changes nothing
--          {'full', jobs waiting, jobs that ended per 1,000 s of late}       refused
--          {'same', ids}                an earlier submit had the key and the fingerprint: these are its jobs
--          {'conflict'}                 an earlier submit had the key, with another fingerprint
--          With ARGV[4] = 1 one 'full', 'same' or 'conflict' stands for all.

local ttl_ms, max_queued, is_whole = ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
local now = now_ms()
local answers, refused = {}, {}
local counts, depths = {}, {} -- by queue: jobs accepted here, jobs waiting
local accepted, is_new = {}, {}

-- Writes, and changes nothing: whoever waits for the disk after a repeated submit waits for the first one too.
local function touch(id)
  local meta = job_key(id, 'meta')
  redis.call('PEXPIRE', meta, redis.call('PTTL', meta))
end

local function ids_of_all()
  local ids = {}
  for i = 5, #ARGV, 5 do ids[#ids + 1] = ARGV[i] end
  return table.concat(ids, ',')
end

-- The answer that an earlier submit with the same key stands for; nil if there was none whose job is still known.
local function earlier(idempotency)
  local kept = redis.call('GET', prefix .. 'idempotency:' .. idempotency.key)
  if not kept then return nil end
  local fingerprint, ids = kept:match('^(%x+):(.*)$')
  local first = ids:match('^[^,]*')
  if not is_new[first] and redis.call('EXISTS', job_key(first, 'meta')) == 0 then return nil end
  if fingerprint ~= idempotency.fingerprint then return {'conflict'} end
  if not is_new[first] then touch(first) end
  return {'same', ids}
end

local function decide(id, model, priority, data, options)
  local state = redis.call('HGET', job_key(id, 'meta'), 'state')
  if state then
    local status = redis.call('GET', job_key(id, 'status'))
    if data == '' and status == 'completed' then redis.call('UNLINK', job_key(id, 'data')) end
    -- data set anew must not outlive an ended job: the job would read as pending again
    if state == 'ended' then redis.call('PEXPIRE', job_key(id, 'data'), redis.call('PTTL', job_key(id, 'meta'))) end
    touch(id)
    return {'known', status}
  end
  local idempotency = options.idempotency
  local before = idempotency and earlier(idempotency)
  if before then return before end
  local queue = queue_key(model)
  depths[queue] = depths[queue] or depth_of(queue)
  if depths[queue] >= max_queued then return {'full', depths[queue], math.floor(drain_rate(queue, now) * 1000)} end
  depths[queue] = depths[queue] + 1
  counts[queue] = (counts[queue] or 0) + 1
  is_new[id] = true
  accepted[#accepted + 1] = {id, model, queue, priority, data, options}
  if idempotency and not is_whole then -- at once, for the next job of this call
    redis.call('SET', prefix .. 'idempotency:' .. idempotency.key, idempotency.fingerprint .. ':' .. id, 'PX',
      idempotency.ttl_ms)
  end
  return {'accepted', depths[queue]}
end

local function store(id, model, sequence, priority, data, options)
  local meta = job_key(id, 'meta')
  if data ~= '' then redis.call('SET', job_key(id, 'data'), data, 'PX', ttl_ms) end
  redis.call('SET', job_key(id, 'status'), 'pending', 'PX', ttl_ms)
  redis.call('HSET', meta, 'state', 'queued', 'model', model, 'priority', priority, 'sequence', sequence,
    'attempts', 0, 'failures', 0, 'submitted_ms', now)
  for _, name in ipairs({'timeout_ms', 'owner', 'webhook'}) do
    if options[name] then redis.call('HSET', meta, name, options[name]) end
  end
  redis.call('PEXPIRE', meta, ttl_ms)
end

local NONE = {}
for i = 5, #ARGV, 5 do
  local id, options = ARGV[i], ARGV[i + 4]
  local answer = decide(id, ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], options == '' and NONE or cjson.decode(options))
  answers[#answers + 1] = answer
  local verdict = answer[1]
  if verdict ~= 'accepted' and verdict ~= 'known' then
    refused[#refused + 1] = id
    if is_whole then break end
  end
end

if is_whole and #refused > 0 then
  for i = 5, #ARGV, 5 do redis.call('UNLINK', job_key(ARGV[i], 'data')) end
  return {answers[#answers]}
end
for _, id in ipairs(refused) do redis.call('UNLINK', job_key(id, 'data')) end

local sequences, lists = {}, {} -- by queue: the last sequence number; by list: what goes into it
for queue, count in pairs(counts) do
  sequences[queue] = redis.call('INCRBY', queue .. ':sequence', count) - count
end
for _, job in ipairs(accepted) do
  local id, model, queue, priority, data, options = unpack(job)
  local sequence = sequences[queue] + 1
  sequences[queue] = sequence
  store(id, model, sequence, priority, data, options)
  local list = list_key(queue, priority)
  lists[list] = lists[list] or {ids = {}, open = {}, open_key = open_key(queue, priority)}
  local ids, open = lists[list].ids, lists[list].open
  ids[#ids + 1] = id
  open[#open + 1], open[#open + 2] = sequence, id
end
if is_whole and #accepted > 0 then
  local first = accepted[1][6].idempotency
  if first then
    redis.call('SET', prefix .. 'idempotency:' .. first.key, first.fingerprint .. ':' .. ids_of_all(), 'PX', first.ttl_ms)
  end
end
for list, new in pairs(lists) do
  call_with_many('ZADD', new.open_key, new.open)
  call_with_many('LPUSH', list, new.ids)
end
return answers
