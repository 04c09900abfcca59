#!/usr/bin/env bash
# Starts the simulated engine with the switches that the control file holds, once: `engine.sh CONTROL_FILE serve …`.
control=$1
shift
if [ "$1" = serve ] && mv "$control" "$control.$$" 2>/dev/null; then
  . "$control.$$"
  rm -f "$control.$$"
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
