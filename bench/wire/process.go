package main

import (
	"bytes"
	"fmt"
	"os"
)

const tickMs = 10 // USER_HZ is 100 on every Linux that programs see.

// use is what processes have used up so far, and hold.
type use struct {
	cpuMs  float64 // User and system.
	rssMib float64
}

func look(pids []int) (use, error) {
	var total use
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return total, err
		}
		var user, system, pages int64
		// Fields of proc(5) after the name, which may hold anything but ends with the last parenthesis.
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		if _, err := fmt.Sscan(fmt.Sprintf("%s %s %s", fields[11], fields[12], fields[21]), &user, &system, &pages); err != nil {
			return total, err
		}
		total.cpuMs += float64((user + system) * tickMs)
		total.rssMib += float64(pages*int64(os.Getpagesize())) / (1 << 20)
	}
	return total, nil
}
