package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// plan says what one measurement does.
type plan struct {
	address  string
	clients  int
	rate     float64 // Requests per second, at fixed times; 0 = each client sends its next one after an answer.
	streams  bool
	interval time.Duration // Between two tokens of a stream, as the engines were told.
	rampMax  time.Duration // For all streams to have begun.
	warmUp   time.Duration
	window   time.Duration // At least: it is longer when the machine is busy, up to windowsMax of it.
	cpuMin   time.Duration // Processor time to be seen in the window.
	pids     []int         // Whose processor time and memory are looked at.
	request  []byte
}

// windowsMax bounds a window that waits for enough processor time, as a multiple of the one asked for.
const (
	windowsMax = 3
	lookEvery  = 20 * time.Millisecond
)

// result of a measurement. Everything is of the window alone.
type result struct {
	Seconds  float64  `json:"seconds"`
	Requests int      `json:"requests"`
	Failed   int      `json:"failed"`
	Changed  int      `json:"changed"` // Answers with other bytes than the engine sent.
	Tokens   int64    `json:"tokens"`
	Offered  int64    `json:"offered"` // Tokens that were due.
	CpuMs    float64  `json:"cpuMs"`
	RssMib   float64  `json:"rssMib"`
	P50Ms    float64  `json:"p50Ms"`
	P99Ms    float64  `json:"p99Ms"`
	Errors   []string `json:"errors"`
}

func load(args []string) error {
	to, err := readPlan(args)
	if err != nil {
		return err
	}
	var measured result
	switch {
	case to.streams:
		measured, err = loadStreams(to)
	default:
		measured, err = loadRequests(to)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(measured)
}

func readPlan(args []string) (plan, error) {
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	port := flags.Int("port", 0, "of the proxy, or of an engine")
	clients := flags.Int("clients", 32, "at once")
	rate := flags.Float64("rate", 0, "requests per second at fixed times; 0 = as fast as the answers come")
	promptBytes := flags.Int("prompt-bytes", 1024, "of the prompt")
	streams := flags.Bool("streams", false, "one long stream per client")
	interval := flags.Duration("interval", 5*time.Millisecond, "between two tokens of a stream")
	ramp := flags.Duration("ramp", 20*time.Second, "at most, until all streams have begun")
	warmUp := flags.Duration("warm-up", 300*time.Millisecond, "before the window")
	window := flags.Duration("window", 2*time.Second, "that is measured")
	cpuMin := flags.Duration("cpu-min", 0, "processor time to be seen; the window is up to three times as long for it")
	pids := flags.String("pids", "", "comma-separated: whose processor time and memory")
	if err := flags.Parse(args); err != nil {
		return plan{}, err
	}
	to := plan{
		address: fmt.Sprintf("127.0.0.1:%d", *port), clients: *clients, rate: *rate, streams: *streams,
		interval: *interval, rampMax: *ramp, warmUp: *warmUp, window: *window, cpuMin: *cpuMin,
	}
	for _, text := range strings.FieldsFunc(*pids, func(one rune) bool { return one == ',' }) {
		var pid int
		if _, err := fmt.Sscan(text, &pid); err != nil {
			return plan{}, err
		}
		to.pids = append(to.pids, pid)
	}
	tokens := 16
	if *streams {
		tokens = 2 * int((*ramp+*warmUp+windowsMax**window)/(*interval))
	}
	to.request = requestOf(to.address, *promptBytes, tokens, *streams)
	return to, nil
}

func requestOf(address string, promptBytes, tokens int, isStream bool) []byte {
	prompt := strings.Repeat("all work and no play makes a dull prompt, ", promptBytes/42+1)[:promptBytes]
	body := fmt.Sprintf(`{"model":"bench","prompt":"%s","max_tokens":%d,"temperature":0,"stream":%t}`, prompt, tokens, isStream)
	return fmt.Appendf(nil, "POST /v1/completions HTTP/1.1\r\nhost: %s\r\nuser-agent: wire\r\naccept: */*\r\nauthorization: Bearer none\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s", address, len(body), body)
}

// loadRequests keeps the clients busy, or sends at fixed times whatever the answers do. Latency counts from the time that
// a request was due, so that one which waited behind a slow one is as late as its sender found it.
func loadRequests(to plan) (result, error) {
	due := make(chan time.Time, 1<<16)
	tallies := make([]tally, to.clients)
	phase := &atomic.Int32{}
	var clients sync.WaitGroup
	for index := range tallies {
		clients.Add(1)
		go func(own *tally) {
			defer clients.Done()
			client := client{to: to, tally: own, phase: phase}
			client.run(due)
		}(&tallies[index])
	}
	if to.rate > 0 {
		go sendOnTime(due, to.rate, phase)
	}
	time.Sleep(to.warmUp)
	phase.Store(measuring)
	seen, err := to.watch()
	phase.Store(over)
	if err != nil {
		return result{}, err
	}
	clients.Wait()
	measured := sum(tallies)
	measured.Seconds, measured.CpuMs, measured.RssMib = seen.seconds, seen.cpuMs, seen.rssMib
	return measured, nil
}

const (
	warmingUp = iota
	measuring
	over
)

type seen struct {
	use
	seconds float64
}

// watch lasts as long as the window, and answers with what the processes used in it.
func (to plan) watch() (seen, error) {
	started := time.Now()
	before, err := look(to.pids)
	if err != nil {
		return seen{}, err
	}
	for {
		time.Sleep(lookEvery)
		after, err := look(to.pids)
		elapsed := time.Since(started)
		used := after.cpuMs - before.cpuMs
		isEnough := used >= float64(to.cpuMin.Milliseconds()) || len(to.pids) == 0
		if err != nil || elapsed >= to.window && isEnough || elapsed >= windowsMax*to.window {
			return seen{use{used, after.rssMib}, elapsed.Seconds()}, err
		}
	}
}
