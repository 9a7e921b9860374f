-- Accepts jobs, or refuses them and leaves nothing behind. Short data comes with them; longer data has been set in the
-- same transaction.
--
-- KEYS[1]  models (for the cluster's slot only)
-- ARGV[1]  key prefix
-- ARGV[2]  lifetime of a job that has not ended, ms
-- ARGV[3]  most jobs that may wait for a model
-- ARGV[4]  most bytes of data that jobs may have that have not ended, of all models; 0 for any number
-- ARGV[5…] seven for each job:
--   id, model,
--   priority     high, normal or low
--   data         or '' where it has been set already
--   options      '' or a JSON object of what is not usual:
--                timeout_ms   longest run
--                owner        name of the key that may read the job
--                webhook      where to report the end
--                output       to which folder to write the result
--                expires_in_ms   how long it may wait to be started
--                blob_bytes   how long the data is in the blob store, if what comes is a reference to it
--                idempotency  {key, fingerprint, ttl_ms}: a later submit with this key gets this job
--   request id, traceparent   '' where there is none; without | and ,
--
-- Returns  for each job:
--          {'accepted', jobs waiting}
--          {'known', status}            the id was accepted before: a repeated submit changes nothing
--          {'full', jobs waiting, jobs that ended per 1,000 s of late}       refused
--          {'heavy', bytes of data that jobs have which have not ended, ended as above}              refused
--          {'same', ids}                an earlier submit had the key and the fingerprint: this is its job
--          {'corrupt', key}             another program has made something else of a key that it would go into
--          {'conflict'}                 an earlier submit had the key, with another fingerprint

--- @include "base"
--- @include "capacity"
--- @include "clock"
--- @include "data_size"
--- @include "drain_rate"
--- @include "held_bytes"
--- @include "idempotency"
--- @include "kept_queues"
--- @include "keys"
--- @include "many_arguments"
--- @include "most_waiting"
--- @include "record_batch"
--- @include "record_layout"
--- @include "records"
--- @include "submission"

local ttl_ms, max_queued, max_bytes = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local now = now_ms()
local answers, refused = {}, {}
local counts, depths = {}, {} -- by queue: jobs accepted here, jobs waiting
local corrupt = {} -- by list: the key that cannot be used, or false
local accepted, is_new, models = {}, {}, {}

-- Mostly none of the jobs is known: one command tells.
local ids = {}
for i = 5, #ARGV, 7 do ids[#ids + 1] = ARGV[i] end
ids[#ids + 1] = HELD_BYTES
local known = read_safely('HMGET', RECORDS, unpack(ids))
local is_corrupt, may_be_known, held, new_bytes = not known, false, 0, 0
if known then held = tonumber(table.remove(known) or 0) or 0 end
for _, record in ipairs(known or {}) do may_be_known = may_be_known or record end

local function decide(first, options)
  local id, model, priority, data = unpack(ARGV, first, first + 3)
  if is_corrupt then return {'corrupt', RECORDS} end
  if is_new[id] then return {'known', 'pending'} end
  local record = may_be_known and read_record(id)
  if record then
    local status = call('GET', job_key(id, 'status'))
    if data == '' and status == 'completed' then call('UNLINK', job_key(id, 'data')) end
    -- data set anew must not outlive an ended job: the job would read as pending again
    if data == '' and record:find(IS_ENDED) then
      call('PEXPIRE', job_key(id, 'data'), call('PTTL', job_key(id, 'status')))
    end
    rewrite_record(id)
    return {'known', status}
  end
  local idempotency = options.idempotency
  local before = idempotency and find_earlier(idempotency, is_new)
  if before then return before end
  local queue = queue_key(model)
  local list = list_key(queue, priority)
  if corrupt[list] == nil then
    local depth, key = count_waiting(queue, priority)
    corrupt[list], depths[queue] = key or false, depths[queue] or depth
  end
  if corrupt[list] then return {'corrupt', corrupt[list]} end
  local bytes = measure_data(id, data)
  if max_bytes > 0 and held + new_bytes + bytes > max_bytes then
    return {'heavy', held + new_bytes, math.floor(read_drain_rate(queue, now) * 1000)}
  end
  if depths[queue] >= max_queued then return {'full', depths[queue], math.floor(read_drain_rate(queue, now) * 1000)} end
  depths[queue], new_bytes = depths[queue] + 1, new_bytes + bytes
  counts[queue] = (counts[queue] or 0) + 1
  is_new[id], models[model] = true, true
  accepted[#accepted + 1] = {first, queue, options}
  if idempotency then remember(idempotency, id) end -- at once, for the next job of this call
  return {'accepted', depths[queue]}
end

local NONE = {}
for i = 5, #ARGV, 7 do
  local id, options = ARGV[i], ARGV[i + 4]
  local answer = decide(i, options == '' and NONE or cjson.decode(options))
  answers[#answers + 1] = answer
  local verdict = answer[1]
  if verdict ~= 'accepted' and verdict ~= 'known' and ARGV[i + 3] == '' then refused[#refused + 1] = id end
end

local submitted_ms = format_int(now)
local sequences, lists = {}, {} -- by queue: the last sequence number; by list: what goes into it
for model in pairs(models) do note_queue(model) end
for queue, count in pairs(counts) do
  note_waiting(queue, now, depths[queue])
  sequences[queue] = call('INCRBY', queue .. ':sequence', count) - count
end
for _, job in ipairs(accepted) do
  local first, queue, options = unpack(job)
  local id, model, priority, data = unpack(ARGV, first, first + 3)
  local sequence = sequences[queue] + 1
  sequences[queue] = sequence
  local rest = store_job(id, model, priority, data, options, ARGV[first + 5], ARGV[first + 6], ttl_ms, submitted_ms)
  add_record(id, format_queued(sequence, rest))
  local list = list_key(queue, priority)
  lists[list] = lists[list] or {ids = {}, open = {}, open_key = open_key(queue, priority), queue = queue, priority = priority}
  local ids, open = lists[list].ids, lists[list].open
  ids[#ids + 1] = id
  open[#open + 1], open[#open + 2] = format_int(sequence), id
end
write_records()
add_held_bytes(new_bytes)
if #accepted > 0 then keep_records(ttl_ms) end
for list, new in pairs(lists) do
  count_priority(new.queue, new.priority, #new.ids)
  call_with_many(new.open, 'ZADD', new.open_key)
  call_with_many(new.ids, 'LPUSH', list)
end
-- at last, since after a first write a script may go on beyond maxmemory
for _, id in ipairs(refused) do call('UNLINK', job_key(id, 'data')) end
return answers
