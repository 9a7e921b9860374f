#!lua flags=allow-oom
-- Leases some jobs of one model to a worker: the popped one first, then the oldest of the first priority that has any.
--
-- KEYS     queue:{model} of every model to look at, in the order to look; with a popped id only its own
-- ARGV[1]  key prefix
-- ARGV[2]  1: also a job that must run alone, since a worker died with it; 0: not now
-- ARGV[3]  lease, ms
-- ARGV[4]  worker id
-- ARGV[5]  fencing token of this claim: a claim repeated with it gets the same jobs again
-- ARGV[6]  how long a job may wait before it has expired, ms
-- ARGV[7]  lifetime of an ended job, ms
-- ARGV[8]  largest data handed out here, bytes; the caller fetches what is larger
-- ARGV[9]  id that this worker got from BRPOP, or ''
-- ARGV[10] priority of the list it came from
-- ARGV[11] the priorities in the order to look, separated by spaces
-- ARGV[12] 0; or, behind a BRPOP on the same connection, the lifetime that take:{token} had before that, ms. Then only what
--          the BRPOP has popped is leased, which the script must find out, and what waits behind it
-- ARGV[13…] for each queue in KEYS: its model, the model's version, most jobs to lease of it
--
-- Returns  {model or '', ids, data of each or false,
--          {place among these, attempt, longest run in ms or ''; of each job that is not at its first, or has one of its own},
--          priority of the list in which a job that must run alone stood in the way, or ''}

--- @include "base"
--- @include "clock"
--- @include "data_size"
--- @include "events"
--- @include "expiry"
--- @include "held_bytes"
--- @include "jobs"
--- @include "kept_queues"
--- @include "keys"
--- @include "leases"
--- @include "lifecycle"
--- @include "outside"
--- @include "popped"
--- @include "record_batch"
--- @include "records"
--- @include "unreadable"

local takes_alone, lease_ms, worker, token = ARGV[2] == '1', tonumber(ARGV[3]), ARGV[4], ARGV[5]
local job_ttl_ms, result_ttl_ms, inline_bytes = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local popped, popped_priority, sure_ms = ARGV[9], ARGV[10], tonumber(ARGV[12])
local order = {}
for priority in ARGV[11]:gmatch('%a+') do order[#order + 1] = priority end
local now = now_ms()
local started_ms = format_int(now)
local claimed, data_of_claimed, unusual, events = {}, {}, {}, {}
local held_up = ''
local version, leased_head = '', '' -- of the model whose jobs are leased
local MOST_QUEUES = 16 -- more are not looked through for what was popped
local AWAKE_MS = 50 -- a worker that has waited longer may be gone, and takes one job: others need not wait for a lease

-- The data, or false where there is too much of it; and whether there is any.
local function data_of(id)
  local data = call('GETRANGE', job_key(id, 'data'), 0, inline_bytes)
  return #data <= inline_bytes and data, #data > 0
end

local function add(id, data, attempt, timeout_ms)
  local count = #claimed + 1
  claimed[count], data_of_claimed[count] = id, data
  timeout_ms = tonumber(timeout_ms)
  if attempt ~= 1 or timeout_ms then
    local last = #unusual
    unusual[last + 1], unusual[last + 2], unusual[last + 3] = count - 1, attempt, timeout_ms or ''
  end
end

check_records()
-- a claim behind a BRPOP is never repeated as it was
local previous = sure_ms == 0 and call('LRANGE', claim_key(token), 0, -1) or {}
if #previous > 0 then
  for i = 2, #previous do
    local id = previous[i]
    local job = find_job(id)
    if job and job.state == 'leased' and job.token == token then
      add(id, (data_of(id)), tonumber(job.attempts), job.timeout_ms)
    end
  end
  return {previous[1], claimed, data_of_claimed, unusual, held_up}
end

-- A job that an outside producer pushed: only its data is sure to exist. Returns it, or nil if it has ended.
local function adopt(queue, model, id, priority)
  local status_key, lifetime_ms = job_key(id, 'status'), job_ttl_ms + result_ttl_ms
  local status = call('GET', status_key)
  if status == 'completed' or status == 'failed' then return nil end
  local job = {state = 'queued', model = model, priority = priority, sequence = 0, submitted_ms = now, is_large = '1',
    bytes = measure_data(id, '')}
  save_job(id, job)
  add_held_bytes(job.bytes)
  keep_records(lifetime_ms)
  call('PEXPIRE', job_key(id, 'data'), lifetime_ms)
  call('SET', status_key, 'pending', 'PX', lifetime_ms)
  call('ZADD', open_key(queue, priority), 0, id)
  note_queue(model)
  note_outside(queue)
  return job
end

-- Whether an outside producer has set the data of an ended job anew: ours is removed or expires.
local function is_resubmitted(id)
  local ttl = call('PTTL', job_key(id, 'data'))
  return ttl == -1 or (ttl > 0 and call('GET', job_key(id, 'status')) ~= 'failed')
end

local function note_ended_outside(queue, id, job)
  local ended = notice_outside_end(queue, id, job, result_ttl_ms, now)
  if ended then events[#events + 1] = id .. ':' .. ended end
  return ended
end

-- Leases one id taken from a list. Returns 'next', 'stop' (take no more), or 'back' (nor this one, which goes back).
local function take(queue, model, id, list_priority)
  write_records()
  local job = read_job(id)
  if job and job.state == 'ended' and is_resubmitted(id) then
    for _, part in ipairs({'status', 'result', 'error'}) do call('UNLINK', job_key(id, part)) end
    call('ZREM', queue .. ':dead', id)
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
    held_up = list_priority
    return 'back'
  end
  local data, has_data = data_of(id)
  local too_late = now - tonumber(job.submitted_ms) > job_ttl_ms
  if not has_data or too_late then
    if note_ended_outside(queue, id, job) then return 'next' end
    local message = too_late and describe_expiry(job, job_ttl_ms) or
      'The job has no data: it expired, or its producer pushed the id before it set job:' .. id ..
      ':data. Submit it again.'
    fail_job(queue, id, job, result_ttl_ms, now, 'expired', message)
    events[#events + 1] = id .. ':failed'
    return 'next'
  end
  local status = call('SET', job_key(id, 'status'), 'processing', 'KEEPTTL', 'GET')
  if status == 'completed' or status == 'failed' then
    call('SET', job_key(id, 'status'), status, 'KEEPTTL')
    note_ended_outside(queue, id, job)
    return 'next'
  end
  job.state, job.token, job.worker, job.started_ms, job.attempts = 'leased', token, worker, started_ms, attempt
  job.version, job.missing_ms = version, nil
  save_job(id, job)
  add(id, data, attempt, job.timeout_ms)
  return alone and 'stop' or 'next'
end

local function take_safely(queue, model, id, list_priority)
  local is_fine, answer = pcall(take, queue, model, id, list_priority)
  if is_fine then return answer end
  fail_unreadable(queue, model, id, list_priority, result_ttl_ms, now)
  events[#events + 1] = id .. ':failed'
  return 'next'
end

-- The record of a waiting job that was never taken, and about which nothing needs a closer look: from its sequence number
-- on, its model, when it was submitted, its longest run.
local PLAIN = '^queued|||||||(%d+|([^|]*)|%a+|(%d+)|(%d*)|[^|]*|%d*|)$'

-- Reads data of jobs together that are not large. Returns it by their places.
local function read_ahead(ids, waiting)
  local datas, keys, places = {}, {}, {}
  for i, id in ipairs(ids) do
    if waiting[i] and waiting[i]:byte(-1) == 124 then -- nothing follows the last '|'
      local count = #keys + 1
      keys[count], places[count] = job_key(id, 'data'), i
    end
  end
  if #keys > 0 then
    for k, data in ipairs(call('MGET', unpack(keys))) do datas[places[k]] = data end
  end
  return datas
end

-- Leases a plain job, in the way of `take`. Returns whether it did.
local function take_plain(id, record, model, data)
  local rest, of_model, submitted_ms, timeout_ms = record:match(PLAIN)
  if of_model ~= model or now - submitted_ms > job_ttl_ms then return false end
  local status_key = job_key(id, 'status')
  local status = redis.pcall('SET', status_key, 'processing', 'KEEPTTL', 'GET')
  if status and status ~= 'pending' then -- it has ended, the id was in the list twice, or this is no string
    if type(status) == 'string' then call('SET', status_key, status, 'KEEPTTL') end
    return false
  end
  add_record(id, leased_head .. rest)
  add(id, data, 1, timeout_ms)
  return true
end

-- Leases some of one list together, each in the way of `take` or `take_plain`. Returns the place of the last that was looked
-- at, and what is to be done then.
local function take_each(queue, model, ids, list_priority)
  local waiting = call('HMGET', RECORDS, unpack(ids))
  local datas = read_ahead(ids, waiting)
  for i, id in ipairs(ids) do
    local data = datas[i]
    if not (data and #data > 0 and take_plain(id, waiting[i], model, data)) then
      local answer = take_safely(queue, model, id, list_priority)
      if answer ~= 'next' then return i, answer end
    end
  end
  return #ids, 'next'
end

-- Ids that turn out to be no job cost a look each; this bounds how many one call may spend.
local looks = 500

-- Takes from one list. Returns whether to go on with others.
local function take_from_list(queue, model, limit, priority)
  local list = list_key(queue, priority)
  while #claimed < limit and looks > 0 do
    local ids = call('RPOP', list, math.min(limit - #claimed, looks))
    if not ids then return true end
    looks = looks - #ids
    local last, answer = take_each(queue, model, ids, priority)
    if answer ~= 'next' then
      for back = #ids, answer == 'back' and last or last + 1, -1 do call('RPUSH', list, ids[back]) end
      looks = 0
      return false
    end
  end
  return true
end

local function take_from(queue, model, limit)
  for _, priority in ipairs(order) do
    if not take_from_list(queue, model, limit, priority) then return end
  end
end

-- Chooses the model whose jobs are leased; returns it, and most jobs to lease of it.
local function choose(i)
  version = ARGV[11 + 3 * i]
  leased_head = 'leased||1|' .. started_ms .. '|' .. token .. '|' .. worker .. '|' .. version .. '|'
  return ARGV[10 + 3 * i], tonumber(ARGV[12 + 3 * i])
end

local function first_waiting()
  for _, priority in ipairs(order) do
    for i, queue in ipairs(KEYS) do
      if call('EXISTS', list_key(queue, priority)) == 1 then return i end
    end
  end
end

-- Whether a job may be the popped one: it waits, but not in its list.
local function may_be_popped(id, list, waits)
  return (read_safely('HGET', RECORDS, id) or ''):sub(1, 7) == 'queued|' and read_safely('GET', job_key(id, 'status')) == 'pending' and
    not (waits and call('LPOS', list, id, 'RANK', -1, 'MAXLEN', 1000))
end

local function is_shared(queues)
  local traces = {}
  for i, queue in ipairs(queues) do traces[i] = queue .. ':outside' end
  return call('EXISTS', unpack(traces)) > 0
end

-- The job that the BRPOP before this popped: its place among the queues, its id and its priority, and whether anything
-- waits. Nothing where it cannot be told, as several may have been popped, or some by programs from outside.
local function just_popped()
  if #KEYS > MOST_QUEUES or is_shared(KEYS) then return nil end
  local lists = {}
  for _, queue in ipairs(KEYS) do
    for _, priority in ipairs(order) do lists[#lists + 1] = list_key(queue, priority) end
  end
  local waits, place, id, priority = call('EXISTS', unpack(lists)) > 0, nil, nil, nil
  for i, queue in ipairs(KEYS) do
    for _, list_priority in ipairs(order) do
      local list, below = list_key(queue, list_priority), '+inf'
      if waits then below = find_popped_bound(queue, list_priority) end
      if not below then return nil end
      for _, open_id in ipairs(call('ZREVRANGEBYSCORE', open_key(queue, list_priority), below, '-inf', 'LIMIT', 0, 2)) do
        if may_be_popped(open_id, list, waits) then
          if id then return nil end
          place, id, priority = i, open_id, list_priority
        end
      end
    end
  end
  return place, id, priority, waits
end

-- Leases what the BRPOP before this popped. Returns its queue and its model, or the first queue and ''.
local function take_popped()
  local left_ms = call('PTTL', prefix .. 'take:' .. token)
  -- it may have ended for want of jobs, or its worker asks anew, or the clock has been set back meanwhile
  if left_ms <= 0 or left_ms > sure_ms then return KEYS[1], '' end
  local place, id, priority, waits = just_popped()
  if not id then return KEYS[1], '' end
  local queue, model, limit = KEYS[place], choose(place)
  local _, answer = take_each(queue, model, {id}, priority)
  local goes_on = answer == 'next'
  if goes_on and waits and sure_ms - left_ms < AWAKE_MS then take_from(queue, model, limit) end
  return queue, model
end

local queue, model, limit = KEYS[1], '', 0
if sure_ms > 0 then
  queue, model = take_popped()
elseif popped ~= '' then
  model, limit = choose(1)
  local _, answer = take_each(queue, model, {popped}, popped_priority)
  if answer == 'next' then take_from(queue, model, limit) end
else
  local i = first_waiting()
  while i and #claimed == 0 and looks > 0 do
    queue, model, limit = KEYS[i], choose(i)
    take_from(queue, model, limit)
    i = #claimed == 0 and looks > 0 and first_waiting()
  end
end

write_records()
if #claimed > 0 then
  call('ZADD', queue .. ':leases', format_int(now + lease_ms), token)
  call('RPUSH', claim_key(token), model, unpack(claimed))
  call('PEXPIRE', claim_key(token), job_ttl_ms + result_ttl_ms)
  events[#events + 1] = table.concat(claimed, ':processing,') .. ':processing'
end
publish(events)
return {model, claimed, data_of_claimed, unusual, held_up}
