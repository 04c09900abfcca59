package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	answerWithin    = 30 * time.Second
	pauseAfterError = time.Millisecond
)

// errorsMax is how many different errors are told.
const errorsMax = 5

// tally is what one client counted in the window.
type tally struct {
	latencies []time.Duration
	failed    int
	changed   int
	errors    []string
}

type client struct {
	to     plan
	tally  *tally
	phase  *atomic.Int32
	conn   net.Conn
	reader *bufio.Reader
	answer bytes.Buffer
}

// run sends until the window ends: at the times that due brings, or at once when there is no rate.
func (c *client) run(due <-chan time.Time) {
	defer c.hangUp()
	for {
		at := time.Now()
		if c.to.rate > 0 {
			var open bool
			if at, open = <-due; !open {
				return
			}
		}
		if c.phase.Load() == over {
			return
		}
		err := c.ask()
		if err != nil {
			c.hangUp()
			time.Sleep(pauseAfterError)
		}
		if c.phase.Load() == measuring {
			c.count(time.Since(at), err)
		}
	}
}

func (c *client) count(latency time.Duration, err error) {
	if err != nil {
		c.tally.failed++
		if len(c.tally.errors) < errorsMax {
			c.tally.errors = append(c.tally.errors, err.Error())
		}
		return
	}
	c.tally.latencies = append(c.tally.latencies, latency)
	if !bytes.Equal(c.answer.Bytes(), decodeAnswer) {
		c.tally.changed++
	}
}

func (c *client) ask() error {
	if c.conn == nil {
		if err := c.connect(); err != nil {
			return err
		}
	}
	if err := c.conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return err
	}
	if _, err := c.conn.Write(c.to.request); err != nil {
		return err
	}
	answer, err := readHead(c.reader)
	if err != nil {
		return err
	}
	c.answer.Reset()
	if err := readBody(c.reader, answer, func(part []byte) { c.answer.Write(part) }); err != nil {
		return err
	}
	if answer.isLast {
		c.hangUp()
	}
	if !strings.Contains(answer.first, " 200") {
		return fmt.Errorf("%s: %.200s", answer.first, c.answer.String())
	}
	return nil
}

func (c *client) connect() error {
	conn, err := net.DialTimeout("tcp", c.to.address, answerWithin)
	if err != nil {
		return err
	}
	c.conn, c.reader = conn, bufio.NewReaderSize(conn, bufferBytes)
	return nil
}

func (c *client) hangUp() {
	if c.conn != nil {
		c.conn.Close()
	}
	c.conn = nil
}

// sendOnTime has a thread of its own: the runtime's timers are a millisecond coarse, which would be most of a latency.
func sendOnTime(due chan<- time.Time, rate float64, phase *atomic.Int32) {
	runtime.LockOSThread()
	defer close(due)
	started := time.Now()
	for request := 0; ; request++ {
		at := started.Add(time.Duration(float64(request) / rate * float64(time.Second)))
		if phase.Load() == over {
			return
		}
		if wait := time.Until(at); wait > 0 {
			pause := syscall.NsecToTimespec(int64(wait))
			_ = syscall.Nanosleep(&pause, nil)
		}
		due <- at
	}
}

func sum(tallies []tally) result {
	var all []time.Duration
	total := result{Errors: []string{}}
	for _, one := range tallies {
		all = append(all, one.latencies...)
		total.Failed += one.failed
		total.Changed += one.changed
		for _, text := range one.errors {
			if len(total.Errors) < errorsMax && !slices.Contains(total.Errors, text) {
				total.Errors = append(total.Errors, text)
			}
		}
	}
	slices.Sort(all)
	total.Requests = len(all)
	total.P50Ms = quantile(all, 0.5)
	total.P99Ms = quantile(all, 0.99)
	return total
}

func quantile(sorted []time.Duration, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[int(share*float64(len(sorted)-1))].Microseconds()) / 1000
}
