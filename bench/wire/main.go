// The two ends of the wire for the proxy's benchmark: simulated engines, and the clients that load a proxy. Both speak
// HTTP/1.1 themselves, over plain sockets, so that neither is what limits a measurement.
//
//	wire engines -ports 7001,7002 -interval 5ms   serves until its standard input ends
//	wire load -port 8021 -clients 32 -seconds 2   one measurement, as JSON on standard output
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("wire engines|load: see the comment at the top of main.go"))
	}
	switch os.Args[1] {
	case "engines":
		fail(serveEngines(os.Args[2:]))
	case "load":
		fail(load(os.Args[2:]))
	default:
		fail(fmt.Errorf("wire knows engines and load, not %q", os.Args[1]))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "wire:", err)
		os.Exit(1)
	}
}
