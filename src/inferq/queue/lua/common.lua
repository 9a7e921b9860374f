-- Shared by every script: time, key names, and the ways a job changes state.
-- ARGV[1] is always the key prefix.

local prefix = ARGV[1]
local call = redis.call
local PRIORITIES = {'high', 'normal', 'low'}

local function now_ms()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- What an index has later than anything can be put into it now: it was put there before the clock was set back.
local function beyond(index, latest_ms)
  return redis.pcall('ZRANGEBYSCORE', index, '(' .. string.format('%d', latest_ms), '+inf', 'LIMIT', 0, 1000)
end

-- A whole number as Redis writes it. Lua's own way to pass numbers, with 17 digits, costs more than most commands.
local function text(number)
  return string.format('%d', number)
end

local function job_key(id, part)
  return prefix .. 'job:' .. id .. ':' .. part
end

local function queue_key(model)
  return prefix .. 'queue:' .. model
end

local function list_key(queue, priority)
  if priority == 'normal' then return queue end
  return queue .. ':' .. priority
end

local function open_key(queue, priority)
  return queue .. ':open:' .. priority
end

-- Lists are first in, first out, so what was popped is older than the present tail. Returns below which score the index of
-- open jobs may have such a job; nil if that cannot be told, as the tail came from outside.
local function first_not_popped(queue, priority)
  local tail = call('LINDEX', list_key(queue, priority), -1)
  if not tail then return '+inf' end
  local sequence = call('ZSCORE', open_key(queue, priority), tail)
  return sequence and '(' .. sequence
end

-- Calls a command that reads; false where the key is of a wrong type, which any program may have written.
local function look(...)
  local answer = redis.pcall(...)
  return not (type(answer) == 'table' and answer.err) and answer
end

-- The hash of all jobs' records.
local RECORDS = prefix .. 'jobs:records'

-- Raises an error, before anything is changed, where another program has made something else of it.
local function check_records()
  call('HEXISTS', RECORDS, '')
end

-- Lets the hash live so long at least. Fields cannot expire by themselves, but where nobody comes any more all may go.
local function keep_records(ttl_ms)
  if call('PTTL', RECORDS) < tonumber(ttl_ms) then call('PEXPIRE', RECORDS, ttl_ms) end
end

-- A job's record is a field of that hash: these values, each followed by '|', and whatever else there is, as JSON.
-- What a claim and a finish change stands first, so that they write the rest as they found it.
local RECORD = {'state', 'ended_ms', 'attempts', 'started_ms', 'token', 'worker', 'version', 'sequence', 'model', 'priority',
  'submitted_ms', 'timeout_ms', 'owner', 'bytes'}

-- How many bytes of data the jobs have that have not ended: a field beside their records, so that it is lost with them. Each
-- record holds what was counted for its job, whatever has become of the data since.
local BYTES = '|bytes'

local function held_bytes()
  return tonumber(look('HGET', RECORDS, BYTES) or 0) or 0
end

local function count_bytes(change)
  if change == 0 then return end
  local held = redis.pcall('HINCRBY', RECORDS, BYTES, text(change))
  if type(held) ~= 'number' or held <= 0 then call('HDEL', RECORDS, BYTES) end
end

-- Makes a table of a record: all values are text, but for attempts that failed. Raises an error where some other program
-- has written it.
local function parse(record)
  local values = {record:match('^' .. ('([^|]*)|'):rep(#RECORD) .. '(.*)$')}
  local more = values[#RECORD + 1]
  if not more or (more ~= '' and more:byte() ~= 123) then -- an earlier version's, which had neither version nor bytes
    values = {record:match('^' .. ('([^|]*)|'):rep(#RECORD - 2) .. '(.*)$')}
    more = table.remove(values)
    table.insert(values, 7, '')
  end
  if not more or values[1] == '' then error('This is no record of a job.') end
  local job = {}
  for name, value in pairs(more == '' and job or cjson.decode(more)) do
    if type(name) ~= 'string' then error('This is no record of a job.') end
    if type(value) == 'number' then value = text(value) end
    if type(value) == 'string' or (type(value) == 'table' and name:find('^attempt:')) then job[name] = value end
  end
  for i, name in ipairs(RECORD) do job[name] = values[i] ~= '' and values[i] or nil end
  return job
end

-- The record of a job, or false. One that has ended is known as long as its status.
local function record_of(id)
  local record = call('HGET', RECORDS, id)
  if record and record:sub(1, 6) == 'ended|' and call('EXISTS', job_key(id, 'status')) == 0 then return false end
  return record
end

-- A job as its record tells; false if there is none.
local function job_of(id)
  local record = record_of(id)
  return record and parse(record)
end

-- The same; nil as well where it cannot be read.
local function look_at(id)
  local is_fine, job = pcall(job_of, id)
  return is_fine and job or nil
end

local function save(id, job)
  local values, more = {}, {}
  for name, value in pairs(job) do more[name] = value end
  for i, name in ipairs(RECORD) do
    local value = more[name] or ''
    values[i], more[name] = type(value) == 'number' and text(value) or value, nil
  end
  local rest = next(more) and cjson.encode(more) or ''
  call('HSET', RECORDS, id, table.concat(values, '|') .. '|' .. rest)
end

-- The jobs of a claim share its lease: an entry of `leases` by the claim's token, and this list of the model and the jobs that
-- are still leased with it.
local function claim_key(token)
  return prefix .. 'claim:' .. token
end

local MOST_CLAIMS = 10000

-- How many jobs of a model are leased.
local function count_leased(queue)
  local count = 0
  for _, token in ipairs(look('ZRANGE', queue .. ':leases', 0, MOST_CLAIMS - 1) or {}) do
    count = count + math.max(0, (look('LLEN', claim_key(token)) or 0) - 1)
  end
  return count
end

-- Takes jobs out of the lease that they have, which ends with the last of its jobs.
local function end_lease(queue, token, ids)
  local key = claim_key(token)
  if (look('LLEN', key) or 0) - 1 > #ids then
    for _, id in ipairs(ids) do call('LREM', key, 1, id) end
    return
  end
  call('UNLINK', key)
  call('ZREM', queue .. ':leases', token)
end

-- How many jobs wait for a model; or nil, and which of the keys that a job goes into holds what no part of inferq has written.
local function depth_of(queue, priority)
  local depth, open, sequence = 0, open_key(queue, priority), queue .. ':sequence'
  for _, each in ipairs(PRIORITIES) do
    local waiting = look('LLEN', list_key(queue, each))
    if not waiting then return nil, list_key(queue, each) end
    depth = depth + waiting
  end
  if not look('ZCARD', open) then return nil, open end
  local last = redis.pcall('GET', sequence)
  if last and not (type(last) == 'string' and last:match('^%d+$')) then return nil, sequence end
  return depth
end

-- Calls a command with any number of further arguments, an even number of them at a time: Lua passes a few thousand.
local function call_with_many(command, key, arguments)
  for first = 1, #arguments, 1000 do
    call(command, key, unpack(arguments, first, math.min(first + 999, #arguments)))
  end
end

local function unlink_all(keys)
  for first = 1, #keys, 1000 do call('UNLINK', unpack(keys, first, math.min(first + 999, #keys))) end
end

-- Records of many jobs are written together: id, record, the next id, …
local unwritten = {}
local function add_record(id, record)
  local count = #unwritten
  unwritten[count + 1], unwritten[count + 2] = id, record
end
local function write_records()
  call_with_many('HSET', RECORDS, unwritten)
  unwritten = {}
end

-- Writes, and changes nothing: whoever waits for the disk after a repeated submit waits for the first one too.
local function touch(id)
  local record = call('HGET', RECORDS, id)
  if record then call('HSET', RECORDS, id, record) end
end

-- The answer that an earlier submit with the same key stands for; nil if there was none whose job is still known, or one
-- of those in `is_new`, which this call makes.
local function earlier(idempotency, is_new)
  local kept = call('GET', prefix .. 'idempotency:' .. idempotency.key)
  if not kept then return nil end
  local fingerprint, ids = kept:match('^(%x+):(.*)$')
  local first = ids:match('^[^,]*')
  if not is_new[first] and call('EXISTS', job_key(first, 'status')) == 0 then return nil end
  if fingerprint ~= idempotency.fingerprint then return {'conflict'} end
  if not is_new[first] then touch(first) end
  return {'same', ids}
end

local function remember(idempotency, ids)
  call('SET', prefix .. 'idempotency:' .. idempotency.key, idempotency.fingerprint .. ':' .. ids, 'PX',
    idempotency.ttl_ms)
end

-- How long the data of a new job is, which comes with it or has been set already.
local function length_of(id, data)
  return data ~= '' and #data or look('STRLEN', job_key(id, 'data')) or 0
end

-- Stores a new job's data and status. Returns its record from the model on. Data that does not come with it may be large.
-- PSETEX does what SET with PX does, faster.
local function store_job(id, model, priority, data, options, ttl_ms, now)
  if data ~= '' then call('PSETEX', job_key(id, 'data'), ttl_ms, data) end
  call('PSETEX', job_key(id, 'status'), ttl_ms, 'pending')
  local record = model .. '|' .. priority .. '|' .. now .. '|' .. (options.timeout_ms and text(options.timeout_ms) or '') ..
    '|' .. (options.owner or '') .. '|' .. text(length_of(id, data)) .. '|'
  if data ~= '' and not options.webhook then return record end
  return record .. cjson.encode({is_large = data == '' and '1' or nil, webhook = options.webhook})
end

-- The record of a job that comes into its line: a sequence number, and what `store_job` has returned.
local function queued_record(sequence, rest)
  return 'queued|||||||' .. text(sequence) .. '|' .. rest
end

-- Lists jobs that completed at the same time in one entry, their ids as JSON: an entry for each would cost as much as to store
-- its result. It stays when a job of it is deleted or begins anew: by its time the reader can tell.
local function list_completed(queue, ids, now)
  redis.pcall('ZADD', queue .. ':completed', text(now), cjson.encode(ids))
end

-- Removes the records of those of these jobs that have ended at that time: others have begun anew since. Returns whether
-- that is done: not while the status of one is there, which was given another lifetime.
local function remove_records(ids, ended_ms)
  local over, statuses = {}, {}
  for i, record in ipairs(call('HMGET', RECORDS, unpack(ids))) do
    if record and record:find('^ended|' .. ended_ms .. '|') then
      over[#over + 1], statuses[#statuses + 1] = ids[i], job_key(ids[i], 'status')
    end
  end
  if #over == 0 then return true end
  if call('EXISTS', unpack(statuses)) > 0 then return false end
  call('HDEL', RECORDS, unpack(over))
  return true
end

-- Takes what ended so long ago from an index, and the records with it; entries of `completed` are lists of ids. Looks at so
-- many entries, from that place on, and so many jobs. Returns where to go on; 0 if that was all.
local function forget_ended(index, are_lists, before_ms, place, most_entries, most_jobs)
  local due = look('ZRANGEBYSCORE', index, '-inf', text(before_ms), 'WITHSCORES', 'LIMIT', place, most_entries) or {}
  local jobs, kept = 0, 0
  for i = 1, #due, 2 do
    if jobs >= most_jobs then return place + kept end
    local is_read, ids = true, {due[i]}
    if are_lists then is_read, ids = pcall(cjson.decode, due[i]) end
    is_read = is_read and type(ids) == 'table'
    jobs = jobs + (is_read and #ids or 1)
    local is_fine, is_done = pcall(remove_records, is_read and ids, due[i + 1])
    if is_done or not is_fine then call('ZREM', index, due[i]) else kept = kept + 1 end
  end
  return #due < 2 * most_entries and 0 or place + kept
end

-- Notes that jobs of a model are kept, of which in the end records have to go, whoever serves it then.
local function note_queue(model)
  redis.pcall('SADD', prefix .. 'jobs:queues', model)
end

local MOST_FORGOTTEN = 1000 -- of each sort; workers that are busy forget as many jobs as they end

-- Does that for a model's whole queue, a part at a time: the next look goes on behind the entries that had to stay.
local function forget_in(queue, model, now, ttl_ms)
  for _, part in ipairs({'completed', 'dead'}) do
    local index, place_key = queue .. ':' .. part, queue .. ':look:' .. part
    local place = math.max(0, tonumber(look('GET', place_key) or 0) or 0)
    local next_place = forget_ended(index, part == 'completed', now - ttl_ms, place, MOST_FORGOTTEN, MOST_FORGOTTEN)
    if next_place > 0 then
      call('SET', place_key, text(next_place), 'PX', ttl_ms)
    elseif place > 0 then
      call('DEL', place_key)
    end
  end
  local indexes = {queue .. ':completed', queue .. ':dead', queue .. ':leases', queue .. ':retries'}
  for _, priority in ipairs(PRIORITIES) do indexes[#indexes + 1] = open_key(queue, priority) end
  if call('EXISTS', unpack(indexes)) > 0 then
    note_queue(model)
  else
    redis.pcall('SREM', prefix .. 'jobs:queues', model)
  end
end

-- Whether any job of these models has not ended.
local function has_open_jobs(models)
  local count = 0
  for _, model in ipairs(models) do
    for _, priority in ipairs(PRIORITIES) do
      count = count + call('EXISTS', open_key(queue_key(model), priority))
    end
  end
  return count > 0
end

-- Puts the report of a job's end in line, where its request asked for one.
local function report_end(id, now)
  call('ZADD', prefix .. 'webhooks', now, id)
end

-- Programs from outside that push or run a model's jobs leave traces. For so long after one, nothing is guessed that holds
-- only where there are none.
local SHARED_MS = 60000

local function note_outside(queue)
  call('SET', queue .. ':outside', '1', 'PX', SHARED_MS)
end

local function is_shared(queues)
  local traces = {}
  for i, queue in ipairs(queues) do traces[i] = queue .. ':outside' end
  return call('EXISTS', unpack(traces)) > 0
end

-- Takes the job out of every index, and notes that it has ended.
local function close_job(queue, id, job, ttl_ms, now)
  if job.state == 'leased' then end_lease(queue, job.token, {id}) end
  call('ZREM', queue .. ':retries', id)
  keep_records(ttl_ms)
  call('ZREM', open_key(queue, job.priority), id)
  job.state, job.ended_ms = 'ended', now
  save(id, job)
  count_bytes(-(tonumber(job.bytes) or 0))
  if job.webhook then report_end(id, now) end
end

-- The data stays, so that a failed job can be looked into and tried again.
local function fail_job(queue, id, job, ttl_ms, now, kind, message)
  call('SET', job_key(id, 'error'), message, 'PX', ttl_ms)
  call('SET', job_key(id, 'status'), 'failed', 'PX', ttl_ms)
  call('PEXPIRE', job_key(id, 'data'), ttl_ms)
  job.error_kind = kind
  call('ZADD', queue .. ':dead', now, id)
  close_job(queue, id, job, ttl_ms, now)
end

-- Any program may have written anything under a job's keys: what cannot be read fails, so that the queue goes on.
local function fail_unreadable(queue, model, id, priority, ttl_ms, now)
  fail_job(queue, id, {model = model, priority = priority}, ttl_ms, now, 'invalid-input',
    'The keys of this job cannot be read. Expected job:' .. id .. ':data and :status as strings, and nothing in the hash ' ..
    'jobs:records but what inferq wrote.')
end

-- An outside worker ends a job by writing its result and status; the rest of the bookkeeping is done here. Returns that
-- status, or false: it has not ended the job.
local function close_if_ended_outside(queue, id, job, ttl_ms, now)
  local status = redis.pcall('GET', job_key(id, 'status'))
  if status ~= 'completed' and status ~= 'failed' then return false end
  note_outside(queue)
  job.outside = '1' -- so that nobody takes what it wrote for JSON without a look
  close_job(queue, id, job, ttl_ms, now)
  if status == 'completed' then call('UNLINK', job_key(id, 'data')) end
  for _, part in ipairs({'data', 'status', 'result', 'error'}) do call('PEXPIRE', job_key(id, part), ttl_ms) end
  if status == 'failed' then call('ZADD', queue .. ':dead', now, id) else list_completed(queue, {id}, now) end
  return status
end

local function expired_message(job, ttl_ms)
  return string.format('The job is older than %g s (INFERQ_JOB_TTL) and was not %s. Submit it again.', ttl_ms / 1000,
    (tonumber(job.attempts) or 0) > 0 and 'completed' or 'run')
end

-- Ends jobs that waited too long: they are the oldest of their list, but for those from outside, which have no sequence
-- number. Adds to the events; returns how many failed.
local function expire_waiting(queue, limit, job_ttl_ms, ttl_ms, now, events)
  local failed_count = 0
  for _, priority in ipairs(PRIORITIES) do
    for _, id in ipairs(look('ZRANGE', open_key(queue, priority), 0, limit - 1) or {}) do
      local job = look_at(id) or {}
      local is_too_late = now - (tonumber(job.submitted_ms) or now) > job_ttl_ms
      if not is_too_late and job.sequence ~= '0' then break end
      if is_too_late and (job.state == 'queued' or job.state == 'retrying') then
        local status = close_if_ended_outside(queue, id, job, ttl_ms, now)
        if not status then
          fail_job(queue, id, job, ttl_ms, now, 'expired', expired_message(job, job_ttl_ms))
          failed_count = failed_count + 1
        end
        events[#events + 1] = id .. ':' .. (status or 'failed')
      end
    end
  end
  return failed_count
end

-- Writes down how the present attempt ended without success.
local function record_attempt(job, now, kind, reason)
  job['attempt:' .. (job.attempts or '0')] = {started_ms = tonumber(job.started_ms), ended_ms = now,
    worker = job.worker or '', kind = kind, reason = reason}
end

local CANCELLED = 'The job was cancelled.'

-- Ends a job by order, whether it waits or runs. An id left in a list is passed over when its turn comes; to take it out
-- costs as much as there is before it.
local function cancel_job(queue, id, job, ttl_ms, now)
  local list, is_queued = list_key(queue, job.priority), job.state == 'queued'
  if job.state == 'leased' then record_attempt(job, now, 'cancelled', CANCELLED) end
  fail_job(queue, id, job, ttl_ms, now, 'cancelled', CANCELLED)
  if is_queued and (call('LLEN', list) <= 10000 or call('LPOS', list, id, 'RANK', -1, 'MAXLEN', 1000)) then
    call('LREM', list, -1, id)
  end
end

-- How many jobs of a queue end per second: a mean that forgets with a time constant of 10 s. Those that have ended since it
-- was last brought up to date are counted beside it.
local RATE_MS = 10000

local function drain_rate(queue, now)
  local kept = look('HMGET', queue .. ':rate', 'at_ms', 'per_second', 'ended') or {}
  local rate = (tonumber(kept[2]) or 0) + (tonumber(kept[3]) or 0) * 1000 / RATE_MS
  return rate * math.exp(math.min(0, (tonumber(kept[1]) or now) - now) / RATE_MS) -- the clock may have been set back
end

local function count_ended(queue, ended)
  redis.pcall('HINCRBY', queue .. ':rate', 'ended', ended)
end

local function update_rate(queue, now)
  local rate = drain_rate(queue, now)
  if rate > 0 then
    redis.pcall('HSET', queue .. ':rate', 'at_ms', text(now), 'per_second', string.format('%.6f', rate), 'ended', '0')
  end
end

local function publish(events)
  if #events > 0 then
    call('PUBLISH', prefix .. 'events', table.concat(events, ','))
  end
end
