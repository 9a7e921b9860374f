-- A claim that is repeated, as its answer was lost.

--- @include "base"
--- @include "claiming"
--- @include "jobs"
--- @include "leases"

-- The answer of the claim that was made with this token; nil if there was none, or its jobs have ended.
local function claim_again()
  local held = call('LRANGE', claim_key(token), 0, -1)
  if #held == 0 then return nil end
  for i = 2, #held do
    local id = held[i]
    local job = find_job(id)
    if job and job.state == 'leased' and job.token == token then
      local request_id, traceparent = read_origin(job)
      version = job.version or ''
      add_claimed(id, (read_data(id)), job.submitted_ms, tonumber(job.attempts), job.timeout_ms, request_id, traceparent,
        job.output, job.alone)
    end
  end
  return answer_claim(held[1])
end
