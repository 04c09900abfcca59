#!/usr/bin/env bash
# Starts the simulated engine with the switches of the first file in a folder, which it takes away: `engine.sh FOLDER serve …`.
switches=$1
shift
if [ "$1" = serve ]; then
  # Of those that boot at the same time one gets it, and the others look for the next.
  for file in "$switches"/[0-9]*[0-9]; do
    mv "$file" "$file.$$" 2>/dev/null || continue
    . "$file.$$"
    rm -f "$file.$$"
    break
  done
fi

# The word after a flag.
value_of() {
  local wanted=$1
  shift
  while [ $# -gt 1 ]; do
    [ "$1" = "$wanted" ] && echo "$2"
    shift
  done
}

if [ -n "$steal_port" ]; then
  host=$(value_of --host "$@") port=$(value_of --port "$@")
  python3 -c 'import socket, sys, time; s = socket.create_server((sys.argv[1], int(sys.argv[2]))); time.sleep(60)' \
    "$host" "$port" &
  until (: <>"/dev/tcp/$host/$port") 2>/dev/null; do sleep 0.05; done
fi
[ -n "$full_disk" ] && exec >/dev/full 2>&1
exec pdjob-sim-engine "$@"
