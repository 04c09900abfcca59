package main

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// stream is one long answer. Its tokens are counted as they come.
type stream struct {
	client
	tokens atomic.Int64
	failed atomic.Pointer[error]
	mutex  sync.Mutex // Of the connection.
	isOver bool
}

// loadStreams opens all streams, lets them run in, and counts what arrives in the window. They are longer than that, so
// no time of theirs goes to beginnings and ends.
func loadStreams(to plan) (result, error) {
	streams := make([]*stream, to.clients)
	var running sync.WaitGroup
	for index := range streams {
		one := &stream{client: client{to: to}}
		streams[index] = one
		running.Add(1)
		go func() {
			defer running.Done()
			if err := one.read(); err != nil {
				one.failed.Store(&err)
			}
		}()
		time.Sleep(to.interval * 4 / time.Duration(to.clients)) // Spread over the interval: no drum beat.
	}
	rampEnd := time.Now().Add(to.rampMax)
	for begun(streams) < len(streams) && time.Now().Before(rampEnd) {
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(to.warmUp)
	tokensBefore, started := tokensOf(streams), time.Now()
	seen, err := to.watch()
	if err != nil {
		return result{}, err
	}
	tokens, window := tokensOf(streams)-tokensBefore, time.Since(started)
	measured := result{
		Seconds: window.Seconds(), Requests: begun(streams), Tokens: tokens,
		Offered: int64(len(streams)) * int64(window) / int64(to.interval),
		CpuMs:   seen.cpuMs, RssMib: seen.rssMib, Errors: []string{},
	}
	measured.Failed = len(streams) - measured.Requests
	for _, one := range streams {
		if err := one.failed.Load(); err != nil && len(measured.Errors) < errorsMax {
			measured.Errors = append(measured.Errors, (*err).Error())
		}
	}
	hangUpAll(streams)
	running.Wait()
	return measured, nil
}

func (s *stream) read() error {
	if err := s.open(); err != nil {
		return err
	}
	if _, err := s.conn.Write(s.to.request); err != nil {
		return err
	}
	answer, err := readHead(s.reader)
	if err != nil {
		return err
	}
	// An event is one line and an empty one: two line ends, wherever pieces are cut.
	lines := 0
	return readBody(s.reader, answer, func(part []byte) {
		lines += bytes.Count(part, []byte("\n"))
		s.tokens.Store(int64(lines / 2))
	})
}

// open and end may meet when a proxy takes longer than the ramp.
func (s *stream) open() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.isOver {
		return errors.New("it had not begun in time")
	}
	return s.connect()
}

func hangUpAll(streams []*stream) {
	for _, one := range streams {
		one.mutex.Lock()
		one.isOver = true
		if one.conn != nil {
			one.conn.Close()
		}
		one.mutex.Unlock()
	}
}

func begun(streams []*stream) int {
	count := 0
	for _, one := range streams {
		if one.tokens.Load() > 0 {
			count++
		}
	}
	return count
}

func tokensOf(streams []*stream) int64 {
	total := int64(0)
	for _, one := range streams {
		total += one.tokens.Load()
	}
	return total
}
