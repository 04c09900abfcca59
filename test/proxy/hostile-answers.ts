/** What an engine may answer, in latin1, and what is made of it. */
export interface HostileAnswer {
  readonly name: string;
  readonly bytes: string;
  /** What is said of it. */
  readonly why: string;
}

const start = "HTTP/1.1 200 OK\r\n";
const chunked = `${start}Transfer-Encoding: chunked\r\n\r\n`;
const lineEnd = "a line that does not end with CR and LF";
const control = "a control character in its headers";
const length = "a length that is no number";
const coding = "a transfer-encoding other than chunked";
const chunkEnd = "a chunk or its size does not end where it should";
const noName = "a header without a good name";
const noStatus = "its first line is no status line";
const another = "it does not begin with HTTP/1.";

const head = (name: string, lines: string, why: string): HostileAnswer => ({
  name,
  bytes: `${start}${lines}\r\n{}`,
  why,
});
const body = (name: string, chunks: string, why: string): HostileAnswer => ({
  name,
  bytes: `${chunked}${chunks}`,
  why,
});

export const hostileAnswers: readonly HostileAnswer[] = [
  { name: "another protocol", bytes: "SSH-2.0-OpenSSH_9.2\r\n", why: another },
  { name: "HTTP/2", bytes: "HTTP/2 200\r\n\r\n", why: another },
  { name: "HTTP/1.2", bytes: "HTTP/1.2 200 OK\r\n\r\n", why: noStatus },
  { name: "HTTP/0.9", bytes: "<html>", why: another },
  { name: "an empty line before it", bytes: `\r\n${start}\r\n`, why: another },
  { name: "small letters", bytes: "http/1.1 200 OK\r\n\r\n", why: another },
  { name: "no status", bytes: "HTTP/1.1\r\n\r\n", why: noStatus },
  { name: "a status of two digits", bytes: "HTTP/1.1 20 OK\r\n\r\n", why: noStatus },
  { name: "a status of four digits", bytes: "HTTP/1.1 2000 OK\r\n\r\n", why: noStatus },
  { name: "a status of 600", bytes: "HTTP/1.1 600 OK\r\n\r\n", why: noStatus },
  { name: "two blanks before the status", bytes: "HTTP/1.1  200 OK\r\n\r\n", why: noStatus },
  {
    name: "a change of the protocol",
    bytes: "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
    why: "it switches to another protocol",
  },
  { name: "lines without CR", bytes: "HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", why: lineEnd },
  head("a bare LF in a value", "A: b\nContent-Length: 9\r\n", lineEnd),
  head("a bare CR in a value", "A: b\rContent-Length: 9\r\n", lineEnd),
  head("two CR", "A: b\r\r\n", lineEnd),
  head("NUL in a value", "A: b\0\r\n", control),
  head("a control character in a name", "A\x01: b\r\n", control),
  head("DEL", "A: \x7f\r\n", control),
  head("a folded line", "A: b\r\n c\r\n", noName),
  head("a folded length", "Content-Length:\r\n 2\r\n", noName),
  head("no colon", "Content-Length 2\r\n", noName),
  head("no name", ": 2\r\n", noName),
  head("a blank before the colon", "Content-Length : 2\r\n", noName),
  head("a name with letters that no name has", "Ä: 2\r\n", noName),
  head("more headers than anybody needs", "A: b\r\n".repeat(101), "more than 100 headers"),
  head(
    "headers without an end",
    `A: ${"b".repeat(70_000)}\r\n`,
    "headers of more than 65536 bytes",
  ),
  {
    name: "interim answers without an end",
    bytes: "HTTP/1.1 100 Continue\r\n\r\n".repeat(3_000),
    why: "headers of more than 65536 bytes",
  },
  {
    name: "something else after an interim answer",
    bytes: "HTTP/1.1 100 Continue\r\n\r\n{}\r\n\r\n",
    why: noStatus,
  },
  head(
    "a length, and chunks",
    "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
    "chunks and a length",
  ),
  head(
    "chunks, and a length",
    "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
    "chunks and a length",
  ),
  head("two lengths", "Content-Length: 2\r\nContent-Length: 3\r\n", length),
  head("a length twice", "Content-Length: 2\r\nContent-Length: 2\r\n", length),
  head("a list of lengths", "Content-Length: 2, 2\r\n", length),
  head("a negative length", "Content-Length: -2\r\n", length),
  head("a length with a sign", "Content-Length: +2\r\n", length),
  head("a length in hexadecimal", "Content-Length: 0x2\r\n", length),
  head("a length with a fraction", "Content-Length: 2.0\r\n", length),
  head("an empty length", "Content-Length:\r\n", length),
  head("a length past any number", `Content-Length: ${"9".repeat(16)}\r\n`, length),
  head("a length in other digits", "Content-Length: \xb2\r\n", length),
  head("another coding", "Transfer-Encoding: gzip\r\n", coding),
  head("a coding below the chunks", "Transfer-Encoding: gzip, chunked\r\n", coding),
  head("chunks twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", coding),
  head("a coding that only sounds like it", "Transfer-Encoding: xchunked\r\n", coding),
  head("an empty coding", "Transfer-Encoding:\r\n", coding),
  {
    name: "chunks in HTTP/1.0",
    bytes: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    why: coding,
  },
  {
    name: "a length of two sorts without a body",
    bytes: "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
    why: length,
  },
  body("a chunk without a size", "\r\n{}\r\n", "a chunk without a size"),
  body("a negative size", "-2\r\n{}\r\n", "a chunk without a size"),
  body("a size with a sign", "+2\r\n{}\r\n", "a chunk without a size"),
  body("a size with a prefix", "0x2\r\n{}\r\n", "a chunk's size that is no number"),
  body("a size that is no number", "2g\r\n{}\r\n", "a chunk's size that is no number"),
  body("a blank before a size", " 2\r\n{}\r\n", "a chunk without a size"),
  body("a blank after a size", "2 \r\n{}\r\n", "a chunk's size that is no number"),
  body("a size of nine digits", "100000000\r\n", "a chunk that is too large"),
  body("a size that overflows", `${"f".repeat(40)}\r\n`, "a chunk that is too large"),
  body("a size that ends with LF", "2\n{}\r\n", "a chunk's size that is no number"),
  body("a size that ends with CR", "2\r{}\r\n", chunkEnd),
  body("a chunk that is longer than its size", "2\r\n{}{}\r\n", chunkEnd),
  body("a chunk that is shorter than its size", "3\r\n{}\r\n0\r\n\r\n", chunkEnd),
  body("a chunk that ends with LF", "2\r\n{}\n0\r\n\r\n", chunkEnd),
  body("a chunk that ends with CR", "2\r\n{}\r0\r\n\r\n", chunkEnd),
  body("an extension without an end", `2;${"x".repeat(300)}`, "a chunk with too long an extension"),
  body("LF in an extension", "2;a\n{}\r\n", "a control character beside a chunk's size"),
  body("NUL in an extension", "2;\0\r\n{}\r\n", "a control character beside a chunk's size"),
  body("trailers without an end", `0\r\n${"A: b\r\n".repeat(5_000)}`, "too many trailers"),
  body("LF in a trailer", "0\r\nA: b\n\r\n", "a control character in a trailer"),
  body("a trailer that ends with CR", "0\r\nA: b\rX", chunkEnd),
  body("an end that ends with CR", "0\r\n\rX", chunkEnd),
];
