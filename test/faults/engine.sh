#!/usr/bin/env bash
# Starts the simulated engine with the switches that the control file holds, once: `engine.sh CONTROL_FILE serve …`.
control=$1
shift
if [ "$1" = serve ] && mv "$control" "$control.$$" 2>/dev/null; then
  . "$control.$$"
  rm -f "$control.$$"
fi
exec pdjob-sim-engine "$@"
