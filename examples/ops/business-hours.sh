#!/usr/bin/env bash
# More decode replicas by day, fewer by night. For cron, every few minutes: a repeated signal changes nothing.
#
#   */10 * * * *  business-hours.sh demo 3 1
#
# Usage: business-hours.sh JOB DAY_REPLICAS NIGHT_REPLICAS [HOUR]
# Needs the temporal CLI, which finds its server as always (TEMPORAL_ADDRESS or its config file).
set -euo pipefail

job=${1:?JOB is missing} day=${2:?DAY_REPLICAS is missing} night=${3:?NIGHT_REPLICAS is missing}
hour=$((10#${4:-$(date +%H)}))

if [ "$hour" -ge 8 ] && [ "$hour" -lt 20 ]; then part=day replicas=$day; else part=night replicas=$night; fi

# The key makes the wish count once for each part of each day, so that what somebody scales by hand meanwhile stays.
key="hours-$(date +%F)-$part"
temporal workflow signal -w "pdjob-$job" --name scaleTo \
  --input "{\"role\":\"decode\",\"replicas\":$replicas,\"key\":\"$key\"}"
echo "$job: $replicas decode replicas by $part"
