-- Written by `schema/record.py`, which says what each field is.

-- How a record begins: up to the sequence number, of a job that waits, and of one that is claimed for the
-- first time (started_ms, token, worker, version); up to the number of attempts, of one that has ended (ended_ms).
-- What follows is copied where a job changes its state.
local QUEUED_HEAD = 'queued|||||||'
local LEASED_HEAD = 'leased||1|%s|%s|%s|%s|'
local ENDED_HEAD = 'ended|%s|'

-- Plain records: no JSON behind the fields, and no time by which they must have started. Of a job that waits
-- and was never claimed; captured are the sequence number and the rest, model, submitted_ms, timeout_ms, blob_bytes, request_id, traceparent.
-- And of a job that runs; captured are attempts and the rest, started_ms, token, model, priority, submitted_ms, owner, bytes.
local PLAIN_QUEUED = '^queued|||||||(%d+|([^|]*)|%a+|(%d+)|(%d*)|[^|]*|%d*|(%d*)||([^|,]*)|([^|,]*)|)$'
local PLAIN_LEASED = '^leased||(%d+|(%d+)|([^|]*)|[^|]*|[^|]*|%d+|([^|]*)|(%a+)|(%d+)|%d*|([^|]*)|(%d*)|%d*||[^|,]*|[^|,]*|)$'

-- Of the rest behind ENDED_HEAD: what stands before the version, and after it.
local AROUND_VERSION = '^(%d+|%d+|[^|]*|[^|]*|)[^|]*(|.*)$'

local IS_QUEUED, IS_ENDED = '^queued|', '^ended|'
