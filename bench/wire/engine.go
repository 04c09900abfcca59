package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// engine answers as vLLM does behind a PD proxy, and at once: a prefill with the KV parameters of its prompt, a decode
// with a whole answer or a stream of tokens at a fixed pace.
type engine struct {
	port     string
	interval time.Duration
	prefills atomic.Int64
	decodes  atomic.Int64
	withKv   atomic.Int64 // Decodes that were told where their KV is.
	firstUs  atomic.Int64 // Unix time of the first request, in microseconds.
}

type counts struct {
	Prefills int64 `json:"prefills"`
	Decodes  int64 `json:"decodes"`
	WithKv   int64 `json:"withKv"`
	FirstUs  int64 `json:"firstUs"`
}

func serveEngines(args []string) error {
	flags := flag.NewFlagSet("engines", flag.ExitOnError)
	ports := flags.String("ports", "", "comma-separated, one engine each")
	interval := flags.Duration("interval", 5*time.Millisecond, "between two tokens of a stream")
	if err := flags.Parse(args); err != nil {
		return err
	}
	for _, port := range strings.Split(*ports, ",") {
		listener, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			return err
		}
		go (&engine{port: port, interval: *interval}).accept(listener)
	}
	fmt.Println("ready")
	// Whoever started us holds the other end, and lets go of it by ending, however it ends.
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

func (e *engine) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go e.serve(conn)
	}
}

func (e *engine) serve(conn net.Conn) {
	defer conn.Close()
	reader := bufio.NewReaderSize(conn, bufferBytes)
	body := bytes.Buffer{}
	for {
		request, err := readHead(reader)
		if err != nil {
			return
		}
		body.Reset()
		if !request.isChunked && request.length < 0 {
			request.length = 0
		}
		if err := readBody(reader, request, func(part []byte) { body.Write(part) }); err != nil {
			return
		}
		if err := e.answer(conn, request.first, body.Bytes()); err != nil || request.isLast {
			return
		}
	}
}

func (e *engine) answer(conn net.Conn, line string, body []byte) error {
	switch {
	case strings.HasPrefix(line, "POST /v1/"):
		return e.complete(conn, body)
	case strings.HasPrefix(line, "GET /stats"):
		text, err := json.Marshal(counts{e.prefills.Load(), e.decodes.Load(), e.withKv.Load(), e.firstUs.Load()})
		if err != nil {
			return err
		}
		return writeAll(conn, headOf(text), text)
	case strings.HasPrefix(line, "GET /"):
		return writeAll(conn, headOf(modelsAnswer), modelsAnswer) // /health, /v1/models
	}
	return errors.New("not served: " + line)
}

func (e *engine) complete(conn net.Conn, body []byte) error {
	e.firstUs.CompareAndSwap(0, time.Now().UnixMicro())
	if isTrue(body, "do_remote_decode") {
		e.prefills.Add(1)
		answer := fmt.Appendf(nil, prefillAnswer, e.port, e.prefills.Load())
		return writeAll(conn, headOf(answer), answer)
	}
	e.decodes.Add(1)
	if isTrue(body, "do_remote_prefill") {
		e.withKv.Add(1)
	}
	if isTrue(body, "stream") {
		return e.stream(conn, numberOf(body, "max_tokens"))
	}
	return writeAll(conn, decodeHead, decodeAnswer)
}

// stream keeps its pace whatever became of the tokens before: one that came late makes no later one late.
func (e *engine) stream(conn net.Conn, tokens int) error {
	started := time.Now()
	if err := writeAll(conn, streamHead, tokenChunk); err != nil {
		return err
	}
	for token := 1; token < tokens; token++ {
		time.Sleep(time.Until(started.Add(time.Duration(token) * e.interval)))
		if _, err := conn.Write(tokenChunk); err != nil {
			return err
		}
	}
	return writeAll(conn, lastChunks)
}

// valueOf finds a key's value without parsing: our clients' prompts hold no quotes.
func valueOf(body []byte, key string) []byte {
	at := bytes.LastIndex(body, []byte(`"`+key+`"`))
	if at < 0 {
		return nil
	}
	return bytes.TrimLeft(body[at+len(key)+2:], ": ")
}

func isTrue(body []byte, key string) bool {
	return bytes.HasPrefix(valueOf(body, key), []byte("true"))
}

func numberOf(body []byte, key string) int {
	value := valueOf(body, key)
	end := bytes.IndexFunc(value, func(one rune) bool { return one < '0' || one > '9' })
	number, _ := strconv.Atoi(string(value[:max(end, 0)]))
	return number
}
