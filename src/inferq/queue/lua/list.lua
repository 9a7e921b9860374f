#!lua flags=no-writes,allow-oom
-- Lists jobs of indexes, the highest score first, that the caller may read.
--
-- KEYS     the indexes, all sorted sets with the same sort of score
-- ARGV[1]  key prefix
-- ARGV[2]  name of the API key that asks; '' where every job may be read
-- ARGV[3]  the public states wanted, separated by spaces
-- ARGV[4]  score of the entry after which to begin; '' for the first
-- ARGV[5]  id of that entry
-- ARGV[6]  most entries to read
-- ARGV[7]  1: the indexes are those of leases, by claim; the sequence number of a job stands for its score
-- ARGV[8]  1: the indexes are those of ended jobs
-- ARGV[9]  what the jobs must have, as JSON: owner, error_kind, id_prefix, error (contained, in small letters), since_ms and
--          until_ms (of the end if they have ended, else of the submission); '' if all will do
--
-- Returns  {1 if there are no more entries, else 0; score and id of the last entry read, '' if none;
--           {score, id of each job found, the highest score first; of the same score the highest id}}

--- @include "base"
--- @include "jobs"
--- @include "keys"
--- @include "leases"
--- @include "record_codec"

local owner, before_score, before_id, limit = ARGV[2], tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local are_ended, only = ARGV[8] == '1', ARGV[9] == '' and {} or cjson.decode(ARGV[9])
local lowest = are_ended and only.since_ms and format_int(only.since_ms) or '-inf'
local highest = are_ended and only.until_ms and format_int(only.until_ms) or '+inf'
local MOST_LEASED, ENTRIES_AT_ONCE, READ_AT_ONCE = 10000, 4, 1000
local wanted = {}
for status in ARGV[3]:gmatch('%a+') do wanted[status] = true end

-- The order of the bytes, as sorted sets have it, whatever the server's locale.
local function is_less(a, b)
  for i = 1, math.min(#a, #b) do
    local one, other = a:byte(i), b:byte(i)
    if one ~= other then return one < other end
  end
  return #a < #b
end

local function precedes(a, b)
  if a.score ~= b.score then return a.score > b.score end
  return is_less(b.id, a.id)
end

check_records()
local before = before_score and {score = before_score, id = before_id}
local entries, is_cut = {}, false

local function add_from(index)
  local skipped, most = 0, before and string.format('%.17g', before.score) or highest
  for _, id in ipairs(before and read_safely('ZREVRANGEBYSCORE', index, most, most) or {}) do
    if is_less(id, before.id) then break end
    skipped = skipped + 1
  end
  local found = read_safely('ZREVRANGEBYSCORE', index, most, lowest, 'WITHSCORES', 'LIMIT', skipped, limit) or {}
  for i = 1, #found, 2 do entries[#entries + 1] = {id = found[i], score = tonumber(found[i + 1])} end
  is_cut = is_cut or #found == 2 * limit
end

-- The same of an index of completed jobs, of which several are in an entry; see `index_completed` in `ends`.
local function add_completed(index)
  local most, first, count, last = before and string.format('%.17g', before.score) or highest, 0, 0, nil
  repeat
    local found = read_safely('ZREVRANGEBYSCORE', index, most, lowest, 'WITHSCORES', 'LIMIT', first, ENTRIES_AT_ONCE) or {}
    for i = 1, #found, 2 do
      local score = tonumber(found[i + 1])
      if count >= limit and score ~= last then -- those of the same time are put in order by their ids
        is_cut = true
        return
      end
      last = score
      local is_fine, ids = pcall(cjson.decode, found[i])
      for _, id in ipairs(is_fine and type(ids) == 'table' and ids or {}) do
        local entry = {id = id, score = score, is_completed = true}
        if not before or precedes(before, entry) then
          count = count + 1
          entries[#entries + 1] = entry
        end
      end
    end
    first = first + ENTRIES_AT_ONCE
  until #found < 2 * ENTRIES_AT_ONCE
end

local function add_leased(index)
  local count = 0
  for _, token in ipairs(read_safely('ZRANGE', index, 0, MOST_LEASED - 1) or {}) do
    if count >= MOST_LEASED then break end
    for _, id in ipairs(read_safely('LRANGE', claim_key(token), 1, MOST_LEASED) or {}) do
      local job = find_job(id)
      local entry = {id = id, score = job and tonumber(job.sequence) or 0}
      count = count + 1
      if not before or precedes(before, entry) then entries[#entries + 1] = entry end
    end
  end
end

local function has_prefix(id)
  return not only.id_prefix or id:sub(1, #only.id_prefix) == only.id_prefix
end

local function has_error(id)
  local message = only.error and (read_safely('GET', job_key(id, 'error')) or '')
  return not message or message:lower():find(only.error, 1, true) ~= nil
end

local function is_in_time(job)
  local submitted_ms = not are_ended and (only.since_ms or only.until_ms) and (tonumber(job.submitted_ms) or 0)
  return not submitted_ms or (submitted_ms >= (only.since_ms or 0) and submitted_ms <= (only.until_ms or math.huge))
end

-- To parse a record takes ten times as long as to see that it does not hold a text.
local function may_fit(record)
  if only.owner and only.owner ~= '' and not record:find('|' .. only.owner .. '|', 1, true) then return false end
  return not only.error_kind or record:find(only.error_kind, 1, true) ~= nil
end

local function is_found(entry, record, status)
  if not record or not may_fit(record) then return false end
  local is_fine, job = pcall(parse_record, record)
  if not is_fine or not job.model then return false end
  if job.state == 'ended' and not status then return false end -- it has expired
  if entry.is_completed and tonumber(job.ended_ms) ~= entry.score then return false end -- it has begun anew since
  if owner ~= '' and job.owner and job.owner ~= owner then return false end
  if only.owner and (job.owner or '') ~= only.owner then return false end
  if only.error_kind and job.error_kind ~= only.error_kind then return false end
  return wanted[status or 'pending'] and is_in_time(job) and has_error(entry.id)
end

local found = {}

-- Adds those of some entries, read together, that are found.
local function add_found(some)
  local ids, statuses = {}, {}
  for i, entry in ipairs(some) do ids[i], statuses[i] = entry.id, job_key(entry.id, 'status') end
  if #ids == 0 then return end
  local records = call('HMGET', RECORDS, unpack(ids))
  for i, status in ipairs(call('MGET', unpack(statuses))) do
    if is_found(some[i], records[i], status) then
      found[#found + 1], found[#found + 2] = string.format('%.17g', some[i].score), some[i].id
    end
  end
end

for _, index in ipairs(KEYS) do
  local add = ARGV[7] == '1' and add_leased or index:match(':completed$') and add_completed or add_from
  add(index)
end
table.sort(entries, precedes)
is_cut = is_cut or #entries > limit

local last, some = nil, {}
for i = 1, math.min(#entries, limit) do
  last = entries[i]
  if has_prefix(last.id) then some[#some + 1] = last end
  if #some == READ_AT_ONCE then
    add_found(some)
    some = {}
  end
end
add_found(some)
return {is_cut and 0 or 1, last and string.format('%.17g', last.score) or '', last and last.id or '', found}
