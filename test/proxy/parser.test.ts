import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AnswerParser } from "../../src/proxy/engines/parser.ts";
import { hostileAnswers } from "./hostile-answers.ts";

interface Read {
  readonly heads: readonly (readonly [number, object])[];
  readonly body: string;
  readonly end: string;
  readonly keepMs: number;
}

/** What comes of these pieces, and, with `closes`, of the connection's end after them. */
function read(pieces: readonly Buffer[], closes = false): Read {
  const heads: (readonly [number, object])[] = [];
  const body: Buffer[] = [];
  const parser = new AnswerParser({
    onHead: ({ status, headers }) => void heads.push([status, { ...headers }]),
    onPiece: (piece) => {
      expect(piece.length).toBeGreaterThan(0);
      body.push(piece);
    },
  });
  let outcome: "more" | "done" | Error = "more";
  let excess = 0;
  for (const piece of pieces) {
    if (outcome === "more") outcome = parser.read(piece);
    // What comes in a later piece the connection sees by itself.
    else if (outcome === "done") excess += piece.length;
  }
  if (closes && outcome === "more") outcome = parser.close();
  return {
    heads,
    body: Buffer.concat(body).toString("latin1"),
    end: outcome instanceof Error ? outcome.message : outcome,
    keepMs: excess > 0 ? 0 : parser.keepMs,
  };
}

const latin1 = (text: string): Buffer => Buffer.from(text, "latin1");

function cut(bytes: Buffer, places: readonly number[]): readonly Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].toSorted(
    (a, b) => a - b,
  );
  return [...at, bytes.length]
    .map((end, index) => bytes.subarray(index === 0 ? 0 : at[index - 1], end))
    .filter((piece) => piece.length > 0);
}

const cuts = fc.array(fc.nat(100_000), { maxLength: 12 });
const content = fc
  .string({ unit: "binary", maxLength: 300 })
  .map((text) => latin1(text).toString("latin1"));
const framings = ["length", "chunks", "close"] as const;

const answers = fc.record({
  framing: fc.constantFrom(...framings),
  minor: fc.constantFrom(0, 1),
  status: fc.constantFrom(200, 201, 400, 404, 500, 503),
  interim: fc.nat(2),
  headers: fc.array(
    fc.tuple(
      fc.stringMatching(/^[A-Za-z][\w-]{0,9}$/),
      fc.stringMatching(/^(?:[!-~]{1,9} ?){0,3}$/),
    ),
    { maxLength: 5 },
  ),
  pieces: fc.array(content, { maxLength: 5 }),
  extension: fc.constantFrom("", ";a", ';a="b c"'),
  trailer: fc.constantFrom("", "A: b\r\n", "A: b\r\nB:\r\n"),
  connection: fc.constantFrom("", "Connection: close\r\n", "Connection: keep-alive\r\n"),
});

const special = /^(connection|keep-alive|content-length|transfer-encoding|__proto__)$/i;

/** As a server would write it, and what a client has to make of it. */
function written(answer: typeof answers extends fc.Arbitrary<infer One> ? One : never) {
  const { status, interim, pieces, connection } = answer;
  const isOld = answer.minor === 0;
  const framing = isOld && answer.framing === "chunks" ? "close" : answer.framing;
  const headers = answer.headers.filter(([name]) => !special.test(name));
  const body = pieces.join("");
  const chunks = pieces
    .filter((piece) => piece.length > 0)
    .map((piece) => `${piece.length.toString(16)}${answer.extension}\r\n${piece}\r\n`);
  const framed = {
    length: `Content-Length: ${body.length}\r\n\r\n${body}`,
    chunks: `Transfer-Encoding: Chunked\r\n\r\n${chunks.join("")}0\r\n${answer.trailer}\r\n`,
    close: `\r\n${body}`,
  }[framing];
  const lines = headers.map(([name, value]) => `${name}: \t${value} \r\n`).join("");
  return {
    bytes: latin1(
      `${"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n".repeat(interim)}HTTP/1.${answer.minor} ${status} Any\r\n${lines}${connection}${framed}`,
    ),
    framing,
    status,
    headers,
    body,
    keepMs: isOld || framing === "close" || connection.includes("close") ? 0 : Infinity,
  };
}

describe("an answer", () => {
  test("is what was written, however it is cut", () => {
    fc.assert(
      fc.property(answers, cuts, (answer, places) => {
        const one = written(answer);
        const found = read(cut(one.bytes, places), one.framing === "close");
        expect(found).toMatchObject({ body: one.body, end: "done", keepMs: one.keepMs });
        expect(found.heads).toHaveLength(1);
        const [[status, headers]] = found.heads as [[number, Record<string, unknown>]];
        expect(status).toBe(one.status);
        for (const [name] of one.headers) {
          const all = one.headers
            .filter(([other]) => other.toLowerCase() === name.toLowerCase())
            .map(([, value]) => value.trim());
          expect(headers[name.toLowerCase()]).toEqual(all.length === 1 ? all[0] : all);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test("that was damaged anywhere comes to the same, however it is cut", () => {
    const damage = fc.record({
      at: fc.nat(10_000),
      drop: fc.nat(2),
      put: fc.oneof(
        fc.constantFrom("\r", "\n", "\r\n", "0", " ", ":", "\0", "\r\n\r\n"),
        fc.string(),
      ),
    });
    fc.assert(
      fc.property(
        answers,
        damage,
        cuts,
        fc.boolean(),
        (answer, { at, drop, put }, places, closes) => {
          const { bytes } = written(answer);
          const from = at % bytes.length;
          const broken = Buffer.concat([
            bytes.subarray(0, from),
            latin1(put),
            bytes.subarray(from + drop),
          ]);
          expect(read(cut(broken, places), closes)).toEqual(read([broken], closes));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test("that ends in the middle is an error, unless nothing says where it ends", () => {
    fc.assert(
      fc.property(answers, fc.nat(10_000), (answer, place) => {
        const { bytes, framing } = written(answer);
        const { end, heads } = read([bytes.subarray(0, place % bytes.length)], true);
        if (framing === "close" && heads.length > 0) expect(end).toBe("done");
        else expect(end).toMatch(/^it closed the connection (before|in the middle of) /);
      }),
    );
  });

  test("is handed over as a part of what came", () => {
    const bytes = latin1("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd");
    const pieces: Buffer[] = [];
    new AnswerParser({ onHead: () => undefined, onPiece: (piece) => void pieces.push(piece) }).read(
      bytes,
    );
    bytes.write("efgh", bytes.length - 4);
    expect(Buffer.concat(pieces).toString()).toBe("efgh");
  });

  test.each(hostileAnswers)("with $name is an error, cut or not", ({ bytes, why }) => {
    const all = latin1(bytes);
    const whole = read([all]);
    expect(whole.end).toBe(`its answer is not good HTTP/1.1: ${why}`);
    expect(whole.keepMs).toBe(0);
    expect(
      read(
        cut(
          all,
          Array.from({ length: 400 }, (_, at) => at),
        ),
      ),
    ).toEqual(whole);
  });

  test("that is no error by itself may be long: 64 KiB of headers, 100 of them", () => {
    const lines = `${"A: b\r\n".repeat(99)}B: ${"b".repeat(60_000)}\r\n`;
    const { end, heads } = read([latin1(`HTTP/1.1 200 OK\r\n${lines}\r\n`)]);
    expect([end, heads.length]).toEqual(["more", 1]);
  });

  test("may have headers with names that every object has", () => {
    const { heads } = read([latin1("HTTP/1.1 200 OK\r\nconstructor: a\r\n__proto__: b\r\n\r\n")]);
    expect(heads).toEqual([[200, { constructor: "a" }]]);
  });
});

describe("a connection is used again", () => {
  const answer = (lines: string, body = ""): number =>
    read([latin1(`HTTP/1.1 200 OK\r\n${lines}\r\n${body}`)]).keepMs;

  test.each<[string, string, string, number]>([
    ["after an answer without a word of it", "Content-Length: 0\r\n", "", Infinity],
    [
      "when the engine says for how long, with time to spare",
      "Content-Length: 0\r\nKeep-Alive: timeout=5\r\n",
      "",
      3_000,
    ],
    ["not, when that is too short", "Content-Length: 0\r\nKeep-Alive: timeout=2, max=9\r\n", "", 0],
    ["not, when the engine closes it", "Content-Length: 0\r\nConnection: x, Close\r\n", "", 0],
    ["not, before the answer has ended", "Content-Length: 2\r\n", "a", 0],
    ["not, when more has come than the answer", "Content-Length: 2\r\n", "abc", 0],
    ["not, when another answer has come", "Content-Length: 0\r\n", "HTTP/1.1 200 OK\r\n\r\n", 0],
    [
      "not, when something follows the last chunk",
      "Transfer-Encoding: chunked\r\n",
      "0\r\n\r\n0",
      0,
    ],
  ])("%s", (_name, lines, body, keepMs) => {
    expect(answer(lines, body)).toBe(keepMs);
  });

  test.each([204, 304])("after a %d, which has no body whatever it says", (status) => {
    const head = `HTTP/1.1 ${status} Any\r\nContent-Length: 5\r\n\r\n`;
    expect(read([latin1(head)])).toMatchObject({ end: "done", body: "", keepMs: Infinity });
  });
});
