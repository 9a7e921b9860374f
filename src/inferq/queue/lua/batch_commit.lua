-- Accepts jobs that `batch_stage` has stored, all of them or none. Does no more for each than it must: Redis serves no other
-- client meanwhile.
--
-- KEYS[1]  models (for the cluster's slot only)
-- ARGV[1]  key prefix
-- ARGV[2]  most jobs that may wait for a model
-- ARGV[3]  '' or JSON {key, fingerprint, ttl_ms}: a later commit with this key gets these jobs
-- ARGV[4]  lifetime of a job that has not ended, ms
-- ARGV[5]  most bytes of data that jobs may have that have not ended, of all models; 0 for any number
-- ARGV[6]  bytes of data that these have
-- ARGV[7…] three for each job: id, model, priority
--
-- Returns  {'accepted'}                 now, or when this call was made first
--          {'full', jobs waiting, jobs that ended per 1,000 s of late, model, jobs of it in this call}
--          {'heavy', bytes of data that jobs have which have not ended, ended as above}
--          {'same', ids}                an earlier commit had the key and the fingerprint: these are its jobs
--          {'corrupt', key}             another program has made something else of a key that they would go into
--          {'conflict'}                 an earlier one had the key, with another fingerprint
--          {'lost'}                     Redis has not all of the jobs any more

--- @include "base"
--- @include "capacity"
--- @include "clock"
--- @include "drain_rate"
--- @include "held_bytes"
--- @include "idempotency"
--- @include "kept_queues"
--- @include "keys"
--- @include "many_arguments"
--- @include "most_waiting"
--- @include "record_batch"
--- @include "records"
--- @include "submission"

local max_queued, idempotency = tonumber(ARGV[2]), ARGV[3] ~= '' and cjson.decode(ARGV[3])
local max_bytes, new_bytes = tonumber(ARGV[5]), tonumber(ARGV[6])
local now = now_ms()
local jobs = read_safely('HEXISTS', RECORDS, ARGV[7])
if not jobs then return {'corrupt', RECORDS} end
if jobs == 1 then
  rewrite_record(ARGV[7])
  return {'accepted'}
end
local before = idempotency and find_earlier(idempotency, {})
if before then return before end

local counts, depths, lists = {}, {}, {} -- by model: jobs of it, jobs waiting; by list: what goes into it
local function make_keys(part)
  local keys = {}
  for i = 7, #ARGV, 3 do keys[#keys + 1] = job_key(ARGV[i], part) end
  return keys
end

local staged, data, staged_keys, data_keys = {}, 0, make_keys('staged'), make_keys('data')
for first = 1, #staged_keys, 1000 do
  local last = math.min(first + 999, #staged_keys)
  data = data + call('EXISTS', unpack(data_keys, first, last))
  for _, rest in ipairs(call('MGET', unpack(staged_keys, first, last))) do staged[#staged + 1] = rest or nil end
end
if #staged < #staged_keys or data < #staged_keys then return {'lost'} end

for i = 7, #ARGV, 3 do
  local model, priority = ARGV[i + 1], ARGV[i + 2]
  local queue = queue_key(model)
  local list = list_key(queue, priority)
  counts[model] = (counts[model] or 0) + 1
  if not lists[list] then
    local depth, corrupt = count_waiting(queue, priority)
    if corrupt then return {'corrupt', corrupt} end
    depths[model] = depth
    lists[list] = {ids = {}, open = {}, open_key = open_key(queue, priority), queue = queue, priority = priority}
  end
end
for model, count in pairs(counts) do
  local depth = depths[model]
  if depth + count > max_queued then
    return {'full', depth, math.floor(read_drain_rate(queue_key(model), now) * 1000), model, count}
  end
end

local held = read_held_bytes()
if max_bytes > 0 and held + new_bytes > max_bytes then
  return {'heavy', held, math.floor(read_drain_rate(queue_key(ARGV[8]), now) * 1000)}
end

local sequences, ids = {}, {} -- by model: the last sequence number
for model, count in pairs(counts) do
  local queue = queue_key(model)
  note_queue(model)
  note_waiting(queue, now, depths[model] + count)
  sequences[model] = call('INCRBY', queue .. ':sequence', count) - count
end
for i = 7, #ARGV, 3 do
  local id, model, priority = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local sequence, queue = sequences[model] + 1, queue_key(model)
  sequences[model], ids[#ids + 1] = sequence, id
  add_record(id, format_queued(sequence, staged[#ids]))
  local new = lists[list_key(queue, priority)]
  new.ids[#new.ids + 1] = id
  new.open[#new.open + 1] = sequence
  new.open[#new.open + 1] = id
end
if idempotency then remember(idempotency, table.concat(ids, ',')) end
write_records()
add_held_bytes(new_bytes)
keep_records(ARGV[4])
call_with_many(staged_keys, 'UNLINK')
for list, new in pairs(lists) do
  count_priority(new.queue, new.priority, #new.ids)
  call_with_many(new.open, 'ZADD', new.open_key)
  call_with_many(new.ids, 'LPUSH', list)
end
return {'accepted'}
