/** What somebody sends over a bare connection, byte for byte as latin1, and what must come of it. */
export interface Hostile {
  readonly name: string;
  readonly bytes: string;
  /** Status of each answer. None = the connection is closed without one. */
  readonly answers: readonly number[];
  /** Requests that reach the decode engine, all of them the harmless one. */
  readonly reaching?: number;
}

const body = '{"prompt":"x"}';
const length = `Content-Length: ${body.length}\r\n`;
const start = "POST /v1/completions HTTP/1.1\r\nHost: proxy\r\n";
const close = "Connection: close\r\n";
const chunks = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;
/** What is to be smuggled past us. */
const foreign = "POST /collective_rpc HTTP/1.1\r\nHost: engine\r\nContent-Length: 2\r\n\r\n{}";

const post = (headers: string, content: string): string => `${start}${headers}\r\n${content}`;
const get = (target: string, version = "1.1"): string =>
  `GET ${target} HTTP/${version}\r\nHost: proxy\r\n${close}\r\n`;

const refused = (name: string, bytes: string, status = 400): Hostile => ({
  name,
  bytes,
  answers: [status],
});
const served = (name: string, bytes: string, answers: readonly number[] = [200]): Hostile => ({
  name,
  bytes,
  answers,
  reaching: answers.filter((status) => status === 200).length,
});

const twoReadings: readonly Hostile[] = [
  refused("a length, and chunks", post(`${length}Transfer-Encoding: chunked\r\n`, chunks(body))),
  refused(
    "chunks that end before what the length says",
    post(`Transfer-Encoding: chunked\r\nContent-Length: 6\r\n`, `0\r\n\r\n${foreign}`),
  ),
  refused("two lengths", post(`${length}Content-Length: 2\r\n`, body)),
  refused("a length twice", post(`${length}${length}`, body)),
  refused("a list of lengths", post("Content-Length: 14, 14\r\n", body)),
  refused("a negative length", post("Content-Length: -14\r\n", body)),
  refused("a length with a sign", post("Content-Length: +14\r\n", body)),
  refused("a length of two words", post("Content-Length: 1 4\r\n", body)),
  refused("a length in hexadecimal", post("Content-Length: 0xe\r\n", body)),
  refused("a length past any number", post(`Content-Length: ${"9".repeat(30)}\r\n`, body)),
  refused("an empty length", post("Content-Length:\r\n", body)),
  refused("a blank before the colon of the length", post("Content-Length : 14\r\n", body)),
  refused("a length in a folded line", post("Content-Length:\r\n 14\r\n", body)),
  refused(
    "a blank before the colon of the coding",
    post("Transfer-Encoding : chunked\r\n", chunks(body)),
  ),
  refused("a coding in a folded line", post("Transfer-Encoding:\r\n chunked\r\n", chunks(body))),
  refused("a coding after a vertical tab", post("Transfer-Encoding: \vchunked\r\n", chunks(body))),
  refused(
    "a coding that only sounds like it",
    post("Transfer-Encoding: xchunked\r\n", chunks(body)),
    501,
  ),
  refused(
    "two codings, of which the last is none",
    post("Transfer-Encoding: chunked, identity\r\n", chunks(body)),
  ),
  refused(
    "two headers with codings",
    post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", chunks(body)),
  ),
  refused(
    "another coding below the chunks",
    post("Transfer-Encoding: gzip, chunked\r\n", chunks(body)),
    501,
  ),
  refused("a packed body", post(`Content-Encoding: gzip\r\n${length}`, body), 415),
  refused(
    "lines without carriage returns",
    `POST /v1/completions HTTP/1.1\nHost: proxy\n${length}\n\n${body}`,
  ),
  served("blanks around a length", post(`${close}Content-Length:   14  \r\n`, body)),
  served("capitals in a coding", post(`${close}transfer-ENCODING: CHUNKED\r\n`, chunks(body))),
];

const badChunks: readonly Hostile[] = [
  ["a size that is no number", "zz\r\n"],
  ["a negative size", "-2\r\n"],
  ["a size with a prefix", "0x2\r\n"],
  ["a size past any number", `${"f".repeat(17)}\r\n`],
  ["a size after a blank", " 2\r\n"],
  ["an extension that ends its line alone", "2;a\n{}\r\n0\r\n\r\n"],
  ["more data than its size", "2\r\n{}GET"],
].map(([name = "", content = ""]) =>
  refused(`a chunk of ${name}`, post("Transfer-Encoding: chunked\r\n", content)),
);

const chunked: readonly Hostile[] = [
  ...badChunks,
  refused(
    "a trailer with a length",
    post("Transfer-Encoding: chunked\r\n", `e\r\n${body}\r\n0\r\nContent-Length: 9\r\n\r\n`),
  ),
  served(
    "a chunk with an extension, and a trailer with a name of ours",
    post(
      `${close}Transfer-Encoding: chunked\r\n`,
      `e;name="value"\r\n${body}\r\n0\r\nX-Request-Id: mine\r\nX-Smuggled: yes\r\n\r\n`,
    ),
  ),
];

const headers: readonly Hostile[] = [
  ...[
    ["a carriage return", "a\rX-Smuggled: yes"],
    ["a line feed", "a\nX-Smuggled : yes"],
    ["a zero", "a\0b"],
    ["a control character", "a\x01b"],
    ["a folded line", "a\r\n X-Smuggled: yes"],
  ].flatMap(([name, value]) => [
    refused(`${name} in a value`, post(`X-Any: ${value}\r\n${length}`, body)),
    refused(`${name} in the request id`, post(`X-Request-Id: ${value}\r\n${length}`, body)),
  ]),
  refused("a zero in a name", post(`X-\0: a\r\n${length}`, body)),
  refused("a blank in a name", post(`X Any: a\r\n${length}`, body)),
  refused("a header without a name", post(`: a\r\n${length}`, body)),
  refused("a header without a colon", post(`X-Any\r\n${length}`, body)),
  refused("two hosts", post(`Host: other\r\n${length}`, body)),
  refused("no host", `POST /v1/completions HTTP/1.1\r\n${length}\r\n${body}`),
  refused("101 headers", post(`${"X-Any: a\r\n".repeat(99)}${length}`, body), 431),
  refused("10,000 headers", post(`${"A: a\r\n".repeat(10_000)}${length}`, body), 431),
  refused("a header of 20 KB", post(`X-Any: ${"a".repeat(20_000)}\r\n${length}`, body), 431),
  refused("a path of 20 KB", get(`/${"a".repeat(20_000)}`), 431),
  served("letters past ASCII in a value", post(`${close}X-Any: \xe9\xff\r\n${length}`, body)),
  served("an address in the request id", post(`${close}X-Request-Id: a___b:1\r\n${length}`, body)),
  served(
    "a Connection header that names the others",
    post(`Connection: close, x-request-id, content-length, content-type\r\n${length}`, body),
  ),
];

const versions: readonly Hostile[] = [
  { name: "HTTP/1.0", bytes: get("/health", "1.0"), answers: [200] },
  refused("HTTP/0.9", "GET /health\r\n\r\n", 505),
  refused("HTTP/2.0 in words", get("/health", "2.0"), 505),
  refused("a version that never was", get("/health", "1.9")),
  refused("the beginning of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
  refused("the beginning of TLS", "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"),
  refused(
    "noise",
    Array.from({ length: 500 }, (_, at) => String.fromCharCode((at * 167) % 256)).join(""),
  ),
  refused("a method in small letters", "post /v1/completions HTTP/1.1\r\nHost: proxy\r\n\r\n"),
  { name: "CONNECT", bytes: "CONNECT engine:8000 HTTP/1.1\r\nHost: engine\r\n\r\n", answers: [] },
  {
    name: "an upgrade",
    bytes: `GET /health HTTP/1.1\r\nHost: proxy\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n`,
    answers: [200],
  },
  served(
    "an upgrade to HTTP/2, with a foreign request behind it",
    post(
      `Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n${length}`,
      `${body}${foreign.replace("\r\n\r\n", `\r\n${close}\r\n`)}`,
    ),
    [200],
  ),
  served(
    "a client that waits to be told to go on",
    post(`${close}Expect: 100-continue\r\n${length}`, body),
    [100, 200],
  ),
  refused(
    "a client that expects something else",
    post(`${close}Expect: a-pony\r\n${length}`, body),
    417,
  ),
];

/** Not one of them is the harmless path, whoever reads it. */
const foreignTargets = [
  "/collective_rpc",
  "/sleep?level=1",
  "/wake_up",
  "/invocations",
  "/pooling",
  "/scale_elastic_ep",
  "/abort_requests",
  "/v1/completions/",
  "//v1/completions",
  "/v1//completions",
  "/V1/completions",
  "/v1/completions%00",
  "/v1%2Fcompletions",
  "/%76%31/completions",
  "/v1/./completions",
  "/v1/completions/../../collective_rpc",
  "/v1/completions/..%2f..%2fcollective_rpc",
  "/v1\\completions",
  "/v1/completions;x=/collective_rpc",
  "http://engine/collective_rpc",
  "http://engine",
  "engine:8000/v1/completions",
  "/__proto__",
  "*",
] as const;

const paths: readonly Hostile[] = [
  ...foreignTargets.map((target) =>
    refused(
      `the path ${target}`,
      `POST ${target} HTTP/1.1\r\nHost: proxy\r\n${close}${length}\r\n${body}`,
      target.startsWith("engine") ? 400 : 404,
    ),
  ),
  refused("a served path by another method", get("/v1/completions"), 404),
  refused("a path with a zero", get("/health\0")),
  served(
    "a whole URL of somebody else",
    `POST http://engine:1/v1/completions?x#/sleep HTTP/1.1\r\nHost: engine\r\n${close}${length}\r\n${body}`,
  ),
];

const many: readonly Hostile[] = [
  served(
    "two requests at once on one connection",
    `${post(length, body)}${post(`${close}${length}`, body)}`,
    [200, 200],
  ),
  served(
    "a foreign request behind a good one",
    `${post(length, body)}${foreign.replace("\r\n\r\n", `\r\n${close}\r\n`)}`,
    [200, 404],
  ),
];

export const corpus: readonly Hostile[] = [
  ...twoReadings,
  ...chunked,
  ...headers,
  ...versions,
  ...paths,
  ...many,
];
