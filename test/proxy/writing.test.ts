import { connect } from "node:net";
import { text } from "node:stream/consumers";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { frameOf } from "../../src/proxy/answer/writing.ts";
import { AnswerParser } from "../../src/proxy/engines/parser.ts";
import { createScene, event, prefillAnswer, sse } from "./rig.ts";
import type { Answer } from "./rig.ts";

const { pair, stop } = createScene();
afterEach(stop);

const events = Array.from({ length: 40 }, (_, at) => event(`é${at}`));
const done = "data: [DONE]\n\n";
const whole = `${events.join("")}${done}`;

/** Some by themselves, some in one piece. */
const streaming: Answer = (_, response) => {
  sse(response, events[0] ?? "");
  const left = events.slice(1);
  const next = (): void => {
    if (left.length === 0) return void response.end(done);
    for (const one of left.splice(0, 3)) response.write(one);
    setTimeout(next, 1);
  };
  next();
};

const asking = (version: string): string =>
  `POST /v1/completions HTTP/${version}\r\nHost: x\r\nContent-Length: 28\r\n\r\n{"prompt":"x","stream":true}`;

/** All that comes on one connection, on which this is sent. */
async function sent(bytes: string): Promise<string> {
  const { proxy } = await pair(prefillAnswer(), streaming);
  const { hostname, port } = new URL(proxy.url);
  const socket = connect(Number(port), hostname);
  socket.write(bytes);
  return text(socket);
}

function read(bytes: Buffer): string {
  const pieces: Buffer[] = [];
  const parser = new AnswerParser({
    onHead: () => undefined,
    onPiece: (piece) => void pieces.push(piece),
  });
  expect(parser.read(bytes)).toBe("done");
  return Buffer.concat(pieces).toString();
}

test("pieces in frames are what a client reads", () => {
  const head = Buffer.from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  fc.assert(
    fc.property(fc.array(fc.string({ minLength: 1, unit: "binary" })), (texts) => {
      const frames = texts.map((one) => frameOf(Buffer.from(one)));
      expect(read(Buffer.concat([head, ...frames, Buffer.from("0\r\n\r\n")]))).toBe(
        Buffer.concat(texts.map((one) => Buffer.from(one))).toString(),
      );
    }),
  );
});

test("a stream comes in good chunks", async () => {
  const answer = await sent(asking("1.1").replace("Host", "Connection: close\r\nHost"));
  expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  expect(answer).toMatch(/\r\ntransfer-encoding: chunked\r\n/i);
  expect(read(Buffer.from(answer))).toBe(whole);
});

test("a client of HTTP/1.0 gets a stream without chunks", async () => {
  const answer = await sent(asking("1.0"));
  expect(answer.slice(answer.indexOf("\r\n\r\n") + 4)).toBe(whole);
});

test("of two requests that come at once, each has its own stream", async () => {
  const second = asking("1.1").replace("Host", "Connection: close\r\nHost");
  const answers = (await sent(asking("1.1") + second)).split(/(?=HTTP\/1\.1 200 )/);
  expect(answers.map((answer) => read(Buffer.from(answer)))).toEqual([whole, whole]);
});

test("a client that reads late and slowly gets all of a large stream, and the engine waits for it", async () => {
  const large = Array.from({ length: 12_000 }, (_, at) => event(`${at}`.repeat(200)));
  let hasWaited = false;
  const flooding: Answer = (_, response) => {
    sse(response, event("a"));
    const left = large.values();
    const next = (): void => {
      for (const one of left) {
        if (response.write(one)) continue;
        hasWaited ||= response.writableLength > 0;
        return void response.once("drain", next);
      }
      response.end(done);
    };
    next();
  };
  const { proxy } = await pair(prefillAnswer(), flooding);
  const socket = connect(Number(new URL(proxy.url).port), "127.0.0.1");
  socket.write(asking("1.1").replace("Host", "Connection: close\r\nHost"));
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(proxy.pool.inFlight()).toEqual({ d0: 1 });
  const pieces: Buffer[] = [];
  for await (const piece of socket) {
    pieces.push(piece as Buffer);
    if (pieces.length % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(read(Buffer.concat(pieces)) === `${event("a")}${large.join("")}${done}`).toBe(true);
  expect(hasWaited).toBe(true);
});
