-- Ended jobs are kept for a time, and then purged from their index.

--- @include "base"
--- @include "keys"
--- @include "record_layout"

-- Removes the records of those of these jobs that ended at that time: others have begun anew since. Returns whether
-- that is done: not while the status of one is there, which was given another lifetime.
local function remove_records(ids, ended_ms)
  local over, statuses, ended = {}, {}, '^' .. ENDED_HEAD:format(ended_ms)
  for i, record in ipairs(call('HMGET', RECORDS, unpack(ids))) do
    if record and record:find(ended) then
      over[#over + 1], statuses[#statuses + 1] = ids[i], job_key(ids[i], 'status')
    end
  end
  if #over == 0 then return true end
  if call('EXISTS', unpack(statuses)) > 0 then return false end
  call('HDEL', RECORDS, unpack(over))
  return true
end

-- Purges what ended before that time; entries of `completed` are lists of ids. Reads at most so many entries, from the cursor
-- on, and so many jobs. Returns the next cursor; 0 if that was all.
local function purge_ended(index, are_lists, before_ms, cursor, most_entries, most_jobs)
  local due = read_safely('ZRANGEBYSCORE', index, '-inf', format_int(before_ms), 'WITHSCORES', 'LIMIT', cursor, most_entries) or {}
  local jobs, kept = 0, 0
  for i = 1, #due, 2 do
    if jobs >= most_jobs then return cursor + kept end
    local is_read, ids = true, {due[i]}
    if are_lists then is_read, ids = pcall(cjson.decode, due[i]) end
    is_read = is_read and type(ids) == 'table'
    jobs = jobs + (is_read and #ids or 1)
    local is_fine, is_done = pcall(remove_records, is_read and ids, due[i + 1])
    if is_done or not is_fine then call('ZREM', index, due[i]) else kept = kept + 1 end
  end
  return #due < 2 * most_entries and 0 or cursor + kept
end
