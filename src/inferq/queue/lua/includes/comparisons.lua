-- What has come of the comparisons that the shadow jobs of a queue have made. The hash queue:{model}:comparisons:
--
--   pair            versions, digests, runtimes and providers that are compared, and the tolerance
--   since_ms        when that began; jobs submitted before count no more
--   compared        comparisons made: agreed + differed
--   agreed, differed
--   missed          jobs whose primary's result was gone, or could not be read
--   skipped         jobs that were drawn and not submitted, as too many waited, or their data was too long
--   absolute, relative   largest differences of two numbers
--   primary|jobs, candidate|jobs   of each comparison, how many jobs shared the run: added up
--   before_ms, before|{kind}   where another pair was compared before: until when, and what `failed|{kind}` in
--                              queue:{model}:counts was then
--
-- Beside it are queue:{model}:differing, a list of the latest that differ, each as the ms and JSON, and queue:{model}:run-times,
-- see `schema/run_times.py`.

--- @include "base"

-- Forgets what was compared of another pair, and how jobs have failed until now.
local function forget_comparisons(queue, now)
  local key = queue .. ':comparisons'
  call('DEL', key, queue .. ':differing', queue .. ':run-times')
  call('HSET', key, 'before_ms', now)
  local counts = read_safely('HGETALL', queue .. ':counts') or {}
  for i = 1, #counts, 2 do
    local kind = counts[i]:match('^failed|(.*)$')
    if kind then call('HSET', key, 'before|' .. kind, counts[i + 1]) end
  end
end

local function keep_comparisons(queue, ttl_ms)
  for _, part in ipairs({':comparisons', ':differing', ':run-times'}) do call('PEXPIRE', queue .. part, ttl_ms) end
end
