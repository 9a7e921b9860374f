-- Writes into a job how its present attempt ended without success.

local function record_attempt(job, now, kind, reason)
  job['attempt:' .. (job.attempts or '0')] = {started_ms = tonumber(job.started_ms), ended_ms = now,
    worker = job.worker or '', token = job.token, version = job.version, kind = kind, reason = reason}
end
