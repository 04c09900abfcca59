#!/usr/bin/env bash
# As many decode replicas as the requests in flight need. For cron or a loop: each call looks once and asks once.
#
#   while sleep 15; do scale-by-load.sh demo http://HEAD:8021 1 4 32; done
#
# Usage: scale-by-load.sh JOB PROXY_URL MIN MAX REQUESTS_PER_REPLICA
# Needs curl and the temporal CLI. Reads the built-in proxy's pdjob_proxy_in_flight. With scheduler.auth, PROXY_KEY is one of
# its admin keys.
set -euo pipefail

job=${1:?JOB is missing} proxy=${2:?PROXY_URL is missing}
min=${3:?MIN is missing} max=${4:?MAX is missing} each=${5:?REQUESTS_PER_REPLICA is missing}

# By standard input: a command line is seen by everybody on the machine.
in_flight=$(printf '%s' "${PROXY_KEY:+header = \"Authorization: Bearer $PROXY_KEY\"}" |
  curl --silent --fail --max-time 5 --config - "$proxy/metrics" |
  awk '/^pdjob_proxy_in_flight\{replica=".*-decode-[0-9]+-g[0-9]+"\}/ { sum += $2 } END { print sum + 0 }')

wanted=$(((in_flight + each - 1) / each))
replicas=$((wanted < min ? min : wanted > max ? max : wanted))
temporal workflow signal -w "pdjob-$job" --name scaleTo --input "{\"role\":\"decode\",\"replicas\":$replicas}"
echo "$job: $in_flight requests in flight, $replicas decode replicas"
