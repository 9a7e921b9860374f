-- Written by `schema/record.py`, which says what each field is.

-- The fields of a record in their order.
local FIELDS = {'state', 'ended_ms', 'attempts', 'started_ms', 'token', 'worker', 'version', 'sequence', 'model', 'priority',
  'submitted_ms', 'timeout_ms', 'owner', 'bytes', 'blob_bytes', 'start_by_ms', 'request_id', 'traceparent'}
