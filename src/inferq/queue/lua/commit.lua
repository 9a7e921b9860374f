-- Accepts jobs that `stage` has stored, all of them or none. Does no more for each than it must: Redis serves nobody else
-- meanwhile.
--
-- KEYS[1]  models (for the cluster's slot only)
-- ARGV[1]  key prefix
-- ARGV[2]  most jobs that may wait for a model
-- ARGV[3]  '' or JSON {key, fingerprint, ttl_ms}: a later commit with this key gets these jobs
-- ARGV[4…] three for each job: id, model, priority
--
-- Returns  {'accepted'}                 now, or when this call was made first
--          {'full', jobs waiting, jobs that ended per 1,000 s of late, model, jobs of it in this call}
--          {'same', ids}                an earlier commit had the key and the fingerprint: these are its jobs
--          {'spoilt', key}              another program has made something else of a key that they would go into
--          {'conflict'}                 an earlier one had the key, with another fingerprint
--          {'lost'}                     Redis has not all of the jobs any more

local max_queued, idempotency = tonumber(ARGV[2]), ARGV[3] ~= '' and cjson.decode(ARGV[3])
local now = now_ms()
local state = call('HGET', job_key(ARGV[4], 'meta'), 'state')
if state and state ~= 'staged' then
  touch(ARGV[4])
  return {'accepted'}
end
local before = idempotency and earlier(idempotency, {})
if before then return before end

local counts, depths, lists = {}, {}, {} -- by model: jobs of it, jobs waiting; by list: what goes into it
local function are_there(part)
  local keys, found = {}, 0
  for i = 4, #ARGV, 3 do
    keys[#keys + 1] = job_key(ARGV[i], part)
    if #keys == 1000 or i + 3 > #ARGV then
      found = found + call('EXISTS', unpack(keys))
      keys = {}
    end
  end
  return found == (#ARGV - 3) / 3
end
if not are_there('meta') or not are_there('data') then return {'lost'} end

for i = 4, #ARGV, 3 do
  local model, priority = ARGV[i + 1], ARGV[i + 2]
  local queue = queue_key(model)
  local list = list_key(queue, priority)
  counts[model] = (counts[model] or 0) + 1
  if not lists[list] then
    local depth, spoilt = depth_of(queue, priority)
    if spoilt then return {'spoilt', spoilt} end
    depths[model] = depth
    lists[list] = {ids = {}, open = {}, open_key = open_key(queue, priority)}
  end
end
for model, count in pairs(counts) do
  local depth = depths[model]
  if depth + count > max_queued then
    return {'full', depth, math.floor(drain_rate(queue_key(model), now) * 1000), model, count}
  end
end

local sequences, ids = {}, {} -- by model: the last sequence number
for model, count in pairs(counts) do
  sequences[model] = call('INCRBY', queue_key(model) .. ':sequence', count) - count
end
for i = 4, #ARGV, 3 do
  local id, model, priority = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local sequence, queue = sequences[model] + 1, queue_key(model)
  sequences[model], ids[#ids + 1] = sequence, id
  call('HSET', job_key(id, 'meta'), 'state', 'queued', 'sequence', sequence)
  local new = lists[list_key(queue, priority)]
  new.ids[#new.ids + 1] = id
  new.open[#new.open + 1] = sequence
  new.open[#new.open + 1] = id
end
if idempotency then remember(idempotency, table.concat(ids, ',')) end
for list, new in pairs(lists) do
  call_with_many('ZADD', new.open_key, new.open)
  call_with_many('LPUSH', list, new.ids)
end
return {'accepted'}
