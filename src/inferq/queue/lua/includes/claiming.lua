-- Leases jobs of one model. The scripts that do so share ARGV[2] to ARGV[8], which `claim` tells, and what they return.

--- @include "base"
--- @include "clock"
--- @include "counters"
--- @include "data_size"
--- @include "ends"
--- @include "events"
--- @include "expiry"
--- @include "held_bytes"
--- @include "jobs"
--- @include "kept_queues"
--- @include "keys"
--- @include "leases"
--- @include "outside"
--- @include "pushed"
--- @include "record_batch"
--- @include "record_layout"
--- @include "records"
--- @include "unrecorded"

local lease_ms, worker, token = tonumber(ARGV[2]), ARGV[3], ARGV[4]
local job_ttl_ms, result_ttl_ms, inline_bytes = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local MOST_BYTES = 16 * 1024 * 1024 -- of data in one claim, unless a single job has more
local order = {}
for priority in ARGV[8]:gmatch('%a+') do order[#order + 1] = priority end
local now = now_ms()
local started_ms = format_int(now)
local claimed, data_of_claimed, submitted_of_claimed, unusual = {}, {}, {}, {}
local request_ids, traceparents = {}, {} -- of the claimed
local takes_alone, blocked_in = true, ''
local large_bytes = 0 -- data of the claimed in the blob store, and of those whose records are not plain
local version, leased_head = '', '' -- of the model whose jobs are leased

-- Chooses the model whose jobs are leased.
local function choose_model(model_version)
  version = model_version
  leased_head = LEASED_HEAD:format(started_ms, token, worker, version)
end

-- The data, or its length where there is too much of it; and the length.
local function read_data(id)
  local key = job_key(id, 'data')
  local data = call('GETRANGE', key, 0, inline_bytes)
  if #data <= inline_bytes then return data, #data end
  local length = call('STRLEN', key)
  return length, length
end

-- The fields of a record that have no comma, unless another program wrote it; those of all claimed jobs are joined by commas.
local function read_origin(job)
  return ((job.request_id or ''):match('[^,]*')), ((job.traceparent or ''):match('[^,]*'))
end

local function add_claimed(id, data, submitted_ms, attempt, timeout_ms, request_id, traceparent, output, alone)
  local count = #claimed + 1
  request_ids[count], traceparents[count] = request_id, traceparent
  claimed[count], data_of_claimed[count], submitted_of_claimed[count] = id, data, submitted_ms
  timeout_ms = tonumber(timeout_ms)
  if attempt ~= 1 or timeout_ms or output or alone then
    local last = #unusual
    unusual[last + 1], unusual[last + 2], unusual[last + 3] = count - 1, attempt, timeout_ms or ''
    unusual[last + 4], unusual[last + 5] = output or '', alone or ''
  end
end

-- A job that an outside producer pushed: only its data is sure to exist. Returns it, or nil if it has ended or was deleted.
local function adopt(queue, model, id, priority)
  local status_key, lifetime_ms = job_key(id, 'status'), job_ttl_ms + result_ttl_ms
  local status = call('GET', status_key)
  if status == 'completed' or status == 'failed' then return nil end
  if not status and call('EXISTS', job_key(id, 'deleted')) == 1 then return nil end
  -- a chunk may be removed while its id is in the list once more
  if not status and model:find('~', 1, true) and call('EXISTS', job_key(id, 'data')) == 0 then return nil end
  local job = {state = 'queued', model = model, priority = priority, sequence = 0, submitted_ms = started_ms, is_large = '1',
    bytes = measure_data(id, '')}
  save_job(id, job)
  add_held_bytes(job.bytes)
  keep_records(lifetime_ms)
  call('PEXPIRE', job_key(id, 'data'), lifetime_ms)
  call('SET', status_key, 'pending', 'PX', lifetime_ms)
  add_pushed(queue, priority, call('ZADD', open_key(queue, priority), 0, id))
  note_queue(model)
  note_outside(queue)
  return job
end

-- Whether an outside producer has set the data of an ended job anew: ours is removed or expires.
local function is_resubmitted(id)
  local ttl = call('PTTL', job_key(id, 'data'))
  return ttl == -1 or (ttl > 0 and call('GET', job_key(id, 'status')) ~= 'failed')
end

-- Leases one id taken from a list. Returns 'next', 'stop' (take no more), or 'back' (nor this one, which goes back).
local function claim_job(queue, model, id, list_priority)
  write_records()
  local job = read_job(id)
  if job and job.state == 'ended' and is_resubmitted(id) then
    for _, part in ipairs({'status', 'result', 'error'}) do call('UNLINK', job_key(id, part)) end
    redis.pcall('ZREM', queue .. ':dead', id)
    job = false
  end
  if not job then
    job = adopt(queue, model, id, list_priority)
    if not job then return 'next' end
  elseif job.state ~= 'queued' or job.model ~= model then
    return 'next' -- ended or running already: the id was in the list twice
  end
  local alone, attempt = job.alone == '1', (job.attempts or 0) + 1
  if alone and (#claimed > 0 or not takes_alone) then
    blocked_in = list_priority
    return 'back'
  end
  local data, length = read_data(id)
  local expiry = find_expiry(job, job_ttl_ms, now)
  if length == 0 or expiry then
    if notice_outside_end(queue, id, job, result_ttl_ms, now) then return 'next' end
    local message = expiry or 'The job has no data: it expired, or its producer pushed the id before it set job:' .. id ..
      ':data. Submit it again.'
    fail_job(queue, id, job, result_ttl_ms, now, 'expired', message)
    return 'next'
  end
  local weight = length + (tonumber(job.blob_bytes) or 0)
  if #claimed > 0 and large_bytes + weight > MOST_BYTES then return 'back' end
  local status = call('SET', job_key(id, 'status'), 'processing', 'KEEPTTL', 'GET')
  if status == 'completed' or status == 'failed' then
    call('SET', job_key(id, 'status'), status, 'KEEPTTL')
    notice_outside_end(queue, id, job, result_ttl_ms, now)
    return 'next'
  end
  job.state, job.token, job.worker, job.started_ms, job.attempts = 'leased', token, worker, started_ms, attempt
  job.version, job.missing_ms, job.awaits_files = version, nil, nil
  save_job(id, job)
  local request_id, traceparent = read_origin(job)
  add_claimed(id, data, job.submitted_ms, attempt, job.timeout_ms, request_id, traceparent, job.output, job.alone)
  large_bytes = large_bytes + weight
  return alone and 'stop' or 'next'
end

local function claim_safely(queue, model, id, list_priority)
  local is_fine, answer = pcall(claim_job, queue, model, id, list_priority)
  if is_fine then return answer end
  fail_corrupt(queue, model, id, list_priority, result_ttl_ms, now)
  return 'next'
end

-- Reads data of jobs together that are not large. Returns it by their index among the ids.
local function read_ahead(ids, records)
  local datas, keys, indexes = {}, {}, {}
  for i, id in ipairs(ids) do
    if records[i] and records[i]:byte(-1) == 124 then -- '|': no JSON follows, so the data is not large
      local count = #keys + 1
      keys[count], indexes[count] = job_key(id, 'data'), i
    end
  end
  if #keys > 0 then
    for k, data in ipairs(call('MGET', unpack(keys))) do datas[indexes[k]] = data end
  end
  return datas
end

-- Leases a job whose record is plain, as `claim_job` would. Returns whether it did.
local function claim_plain(id, record, model, data)
  local rest, of_model, submitted_ms, timeout_ms, blob_bytes, request_id, traceparent = record:match(PLAIN_QUEUED)
  if of_model ~= model or now - submitted_ms > job_ttl_ms then return false end
  if blob_bytes ~= '' then
    if #claimed > 0 and large_bytes + blob_bytes > MOST_BYTES then return false end -- `claim_job` leaves it as well
    large_bytes = large_bytes + blob_bytes
  end
  local status_key = job_key(id, 'status')
  local status = redis.pcall('SET', status_key, 'processing', 'KEEPTTL', 'GET')
  if status and status ~= 'pending' then -- it has ended, the id was in the list twice, or this is no string
    if type(status) == 'string' then call('SET', status_key, status, 'KEEPTTL') end
    return false
  end
  add_record(id, leased_head .. rest)
  add_claimed(id, data, submitted_ms, 1, timeout_ms, request_id, traceparent)
  return true
end

-- Leases some of one list together. Returns the index of the last that was tried, and what is to be done then.
local function claim_each(queue, model, ids, list_priority)
  local records = call('HMGET', RECORDS, unpack(ids))
  local datas = read_ahead(ids, records)
  for i, id in ipairs(ids) do
    local data = datas[i]
    if not (data and #data > 0 and claim_plain(id, records[i], model, data)) then
      local answer = claim_safely(queue, model, id, list_priority)
      if answer ~= 'next' then return i, answer end
    end
  end
  return #ids, 'next'
end

-- Ids that turn out to be no job that waits cost a read each; this bounds how many one call may spend.
local scan_budget = 500

-- Takes from one list. Returns whether to go on with others.
local function claim_from_list(queue, model, limit, priority)
  local list = list_key(queue, priority)
  while #claimed < limit and scan_budget > 0 do
    local ids = call('RPOP', list, math.min(limit - #claimed, scan_budget))
    if not ids then return true end
    scan_budget = scan_budget - #ids
    local last, answer = claim_each(queue, model, ids, priority)
    if answer ~= 'next' then
      for i = #ids, answer == 'back' and last or last + 1, -1 do call('RPUSH', list, ids[i]) end
      scan_budget = 0
      return false
    end
  end
  return true
end

local function claim_from_queue(queue, model, limit)
  for _, priority in ipairs(order) do
    if not claim_from_list(queue, model, limit, priority) then return end
  end
end

local function answer_claim(model)
  local answer = {model, claimed, data_of_claimed, table.concat(submitted_of_claimed, ','), table.concat(request_ids, ','),
    table.concat(traceparents, ','), unusual, blocked_in, version}
  if #unreported > 0 then answer[#answer + 1] = unreported end
  return answer
end

-- Gives the claimed jobs their lease, and ends the script.
local function finish_claim(queue, model)
  write_records()
  if #claimed > 0 then
    call('ZADD', queue .. ':leases', format_int(now + lease_ms), token)
    call('RPUSH', claim_key(token), model, unpack(claimed))
    call('PEXPIRE', claim_key(token), job_ttl_ms + result_ttl_ms)
    add_event(table.concat(claimed, ':processing,'), 'processing')
  end
  write_counts(now)
  publish_events()
  return answer_claim(model)
end

