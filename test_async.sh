#!/bin/sh
# Proves that nothing blocks: that a request is answered at once, that the job goes its way in the background, and
# that the proxy serves others meanwhile. Needs curl and a POSIX shell.
#
# Usage: ./test_async.sh [BASE_URL]        default: http://localhost:8000
# The service must run with simulated seconds, or each job is over before anything can be seen:
#   INFERQ_SIMULATED_RUN_SECONDS=3 uv run inferq up
#   INFERQ_SIMULATED_RUN_SECONDS=3 docker-compose up --build
# INFERQ_API_KEY is sent as the key, where the service wants one. LONGEST_ANSWER_MS is for busy machines: 1000 if not set.
#
# Exit codes: 0 all three claims hold; 1, 2 or 3 that claim does not; 4 the service is out of reach or has no worker, or
#             curl is missing; 5 the job was too fast to prove anything.

set -u

base=${1:-http://localhost:8000}
base=${base%/}
longest_answer_ms=${LONGEST_ANSWER_MS:-1000} # an answer that takes longer is not "at once", whatever the job takes
longest_job_s=60
shortest_job_ms=1000

say() { printf '%s\n' "$*"; }

fail() { # CODE TEXT...
  code=$1
  shift
  say "FAILED: $*" >&2
  exit "$code"
}

# Sends a request. Sets $body, $status (HTTP) and $took (ms); ends the script if nothing answers.
request() { # METHOD PATH
  if ! answer=$(curl --silent --show-error --max-time 30 --request "$1" \
    ${INFERQ_API_KEY:+--header "Authorization: Bearer $INFERQ_API_KEY"} \
    --write-out '\n%{http_code} %{time_total}' "$base$2"); then
    fail 4 "$base does not answer. Start the service, or give its address: ./test_async.sh URL"
  fi
  last=$(printf '%s\n' "$answer" | tail -n 1)
  body=$(printf '%s\n' "$answer" | sed '$d')
  status=${last%% *}
  took=$(milliseconds "${last#* }")
}

milliseconds() { # SECONDS, with a point or a comma
  printf '%s\n' "$1" | tr , . | awk '{ printf "%d", $1 * 1000 + 0.5 }'
}

member() { # NAME: prints the string member of $body
  printf '%s' "$body" | sed -n "s/.*\"$1\": *\"\\([^\"]*\\)\".*/\\1/p"
}

now() { date '+%H:%M:%S'; }

seconds() { awk "BEGIN { printf \"%.2f\", $1 / 1000 }"; }

command -v curl >/dev/null || fail 4 "this script needs curl, which is not installed"

request GET /health
case "$(member status), $(member worker)" in
healthy,* | "degraded, models left out"*) ;; # what others cannot serve is not needed here
*) fail 4 "$base is not healthy: $body" ;;
esac

say "[1] Send a request: the answer must come at once, not when the job is done."
say "    $(now)  POST $base/predict/test"
started=$(date +%s)
request POST /predict/test
[ "$status" = 202 ] || fail 1 "expected 202, got $status: $body"
id=$(member job_id)
[ -n "$id" ] || fail 1 "the answer has no job_id: $body"
submit_ms=$took
say "    $(now)  $body  after $(seconds "$submit_ms") s"
[ "$submit_ms" -lt "$longest_answer_ms" ] || fail 1 "the answer took $(seconds "$submit_ms") s"

say "[2] Follow the job: pending or processing first, completed in the end."
request GET "/job/$id"
first=$(member status)
say "    $(now)  status $first"
case $first in
pending | processing) ;;
completed)
  fail 5 "the job was done before it could be looked at. Start the service with INFERQ_SIMULATED_RUN_SECONDS=3"
  ;;
*) fail 2 "expected pending or processing, got: $body" ;;
esac

say "[3] Meanwhile the proxy must serve others."
slowest=0
for path in /health / /metadata "/job/$id" /health/live; do
  request GET "$path"
  [ "$status" = 200 ] || fail 3 "GET $path answered $status while the job ran: $body"
  [ "$took" -lt "$longest_answer_ms" ] || fail 3 "GET $path took $(seconds "$took") s while the job ran"
  [ "$took" -le "$slowest" ] || slowest=$took
done
request POST /predict/test
[ "$status" = 202 ] || fail 3 "a second POST answered $status while the job ran: $body"
[ "$took" -lt "$longest_answer_ms" ] || fail 3 "a second POST took $(seconds "$took") s while the job ran"
[ "$took" -le "$slowest" ] || slowest=$took
request GET "/job/$id"
during=$(member status)
say "    $(now)  six requests, the slowest took $(seconds "$slowest") s; the job is $during"
case $during in
pending | processing) ;;
completed)
  fail 5 "the job was over before the others were served. Start the service with INFERQ_SIMULATED_RUN_SECONDS=3"
  ;;
*) fail 2 "the job ended as $during: $body" ;;
esac

say "[2] And on: the job must complete, with a result."
seen=$during
while :; do
  request GET "/job/$id"
  current=$(member status)
  if [ "$current" != "$seen" ]; then
    say "    $(now)  status $current"
    seen=$current
  fi
  case $current in
  completed) break ;;
  pending | processing) ;;
  *) fail 2 "the job ended as $current: $body" ;;
  esac
  [ $(($(date +%s) - started)) -le "$longest_job_s" ] || fail 2 "the job was still $current after $longest_job_s s"
  sleep 0.2
done
case $body in
*'"result":null'*) fail 2 "the completed job has no result: $body" ;;
esac
say "    $(now)  $body"

# the proxy says how long the job took, to the millisecond
job_ms=$(printf '%s' "$body" | sed 's/.*"submitted_at":"[^T]*T\([0-9:.]*\)Z".*"finished_at":"[^T]*T\([0-9:.]*\)Z".*/\1 \2/' |
  awk '{ split($1, a, ":"); split($2, b, ":"); d = (b[1]-a[1])*3600 + (b[2]-a[2])*60 + b[3]-a[3];
         if (d < 0) d += 86400; printf "%d", d * 1000 }')
[ "$job_ms" -ge "$shortest_job_ms" ] ||
  fail 5 "the job took only $(seconds "$job_ms") s, too little to prove anything. Start the service with INFERQ_SIMULATED_RUN_SECONDS=3"
[ $((submit_ms * 4)) -lt "$job_ms" ] ||
  fail 1 "the answer took $(seconds "$submit_ms") s, and the job itself only $(seconds "$job_ms") s"

say "PASSED: answered after $(seconds "$submit_ms") s, done after $(seconds "$job_ms") s, others served within $(seconds "$slowest") s."
