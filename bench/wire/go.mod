module pdjob/bench/wire

go 1.21
