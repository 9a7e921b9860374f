-- How many jobs of a model there have been, and how they ended: the hash queue:{model}:counts. What a call of a script counts is
-- added up, and written once by `write_counts`. No count ever falls. The fields:
--
--   pushed          jobs of outside programs, counted when a script first sees them
--   retried         failed jobs that began anew
--   completed, failed|{kind}          ends; the kind is `outside` where an outside worker wrote the end
--   lost            jobs whose record has vanished, as another program deleted it
--
-- Each job that is submitted or retried takes the next number of queue:{model}:sequence, so that is how many there were. After
-- each call of a script, of each model, with the open jobs as those in queue:{model}:open:{priority}:
--
--   sequence + pushed = completed + all failed|{kind} + lost + open

--- @include "base"

local counts = {} -- by queue, by field

local function add_count(queue, field, number)
  local fields = counts[queue]
  if not fields then
    fields = {}
    counts[queue] = fields
  end
  fields[field] = (fields[field] or 0) + number
end

local function write_counts()
  for queue, fields in pairs(counts) do
    for field, number in pairs(fields) do redis.pcall('HINCRBY', queue .. ':counts', field, format_int(number)) end
  end
  counts = {}
end
