-- What is counted of a model's jobs. What a call of a script counts is added up, and written once by `write_counts`. No count
-- ever falls. The hash queue:{model}:counts:
--
--   pushed          jobs of outside programs, counted when a script first sees them
--   retried         failed jobs that began anew, as a user asked for it
--   submitted|high, submitted|low     of all jobs, pushed or not, those of these priorities; the others are normal
--   completed, failed|{kind}          ends; the kind is `outside` where an outside worker wrote the end
--   lost            jobs whose record has vanished, as another program deleted it
--   retries         failed attempts after which a job waits for another
--   late, stale     ends that came from a worker whose lease had passed on or whose job had ended: those that counted all the
--                   same, and those that did not
--   leases_lapsed   leases that were not renewed in time
--   recovered       jobs that recovery has requeued
--
-- Each job that is submitted or retried takes the next number of queue:{model}:sequence, so that is how many there were. After
-- each call of a script, of each model, with the open jobs as those in queue:{model}:open:{priority}:
--
--   sequence + pushed = completed + all failed|{kind} + lost + open
--
-- The hash queue:{model}:owners has the µs that the jobs of each owner ran: of a run that jobs share, each has an equal part. The
-- string queue:{model}:histograms is told in `schema/histograms.py`.

--- @include "base"
--- @include "minutes"

local counts = {} -- by queue, by the rest of the key, by field

local function add_to(queue, part, field, number)
  local parts = counts[queue]
  if not parts then
    parts = {}
    counts[queue] = parts
  end
  local fields = parts[part]
  if not fields then
    fields = {}
    parts[part] = fields
  end
  fields[field] = (fields[field] or 0) + number
end

local function add_count(queue, field, number)
  add_to(queue, ':counts', field, number)
end

local function write_counts(now)
  for queue, parts in pairs(counts) do
    begin_minute(queue, now)
    for part, fields in pairs(parts) do
      local key = queue .. part
      for field, number in pairs(fields) do redis.pcall('HINCRBY', key, field, format_int(number)) end
    end
  end
  counts = {}
end
