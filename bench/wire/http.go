package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
)

// bufferBytes holds every head that a peer of ours sends, and a large share of a body.
const bufferBytes = 64 << 10

// head is what matters of a request's or an answer's head.
type head struct {
	first     string // Request line or status line.
	length    int    // Of the body, -1 when it is not told.
	isChunked bool
	isLast    bool // The peer closes the connection afterwards.
}

func readHead(reader *bufio.Reader) (head, error) {
	found := head{length: -1}
	first, err := readLine(reader)
	if err != nil {
		return found, err
	}
	found.first = string(first)
	for {
		line, err := readLine(reader)
		if err != nil || len(line) == 0 {
			return found, err
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return found, errors.New("a header without a colon")
		}
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			if found.length, err = strconv.Atoi(string(value)); err != nil {
				return found, err
			}
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			found.isChunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("connection")):
			found.isLast = bytes.EqualFold(value, []byte("close"))
		}
	}
}

func readLine(reader *bufio.Reader) ([]byte, error) {
	line, err := reader.ReadSlice('\n')
	return bytes.TrimRight(line, "\r\n"), err
}

// readBody gives each piece of a body to take, which may not keep it. The pieces are as they come, not whole chunks.
func readBody(reader *bufio.Reader, of head, take func([]byte)) error {
	if !of.isChunked {
		if of.length < 0 {
			return errors.New("a body of unknown length")
		}
		return readPiece(reader, of.length, take)
	}
	for {
		line, err := readLine(reader)
		if err != nil {
			return err
		}
		size, err := strconv.ParseUint(string(line), 16, 31)
		if err != nil {
			return err
		}
		if err := readPiece(reader, int(size), take); err != nil {
			return err
		}
		if _, err := readLine(reader); err != nil || size == 0 {
			return err
		}
	}
}

func readPiece(reader *bufio.Reader, size int, take func([]byte)) error {
	for size > 0 {
		if _, err := reader.Peek(1); err != nil {
			return err
		}
		part, err := reader.Peek(min(size, reader.Buffered()))
		if err != nil {
			return err
		}
		take(part)
		if _, err := reader.Discard(len(part)); err != nil {
			return err
		}
		size -= len(part)
	}
	return nil
}

func writeAll(writer io.Writer, parts ...[]byte) error {
	_, err := writer.Write(bytes.Join(parts, nil))
	return err
}
