import { execa } from "execa";
import { afterEach, describe, expect, test } from "vitest";
import { Gone } from "../../src/proxy/answer/gone.ts";
import { endpointOf } from "../../src/proxy/engines/endpoint.ts";
import { createExchanges } from "../../src/proxy/engines/exchanges.ts";
import { howItFailed } from "../../src/proxy/engines/failure.ts";
import { headerLines } from "../../src/proxy/engines/request.ts";
import { freePort } from "../../src/dev/ports.ts";
import { eventually } from "../support/eventually.ts";
import { hostileAnswers } from "./hostile-answers.ts";
import { ask, rawEngine, whole } from "./raw-engine.ts";
import type { Came, RawEngine } from "./raw-engine.ts";

const ends: (() => void)[] = [];
afterEach(() => ends.splice(0).forEach((end) => end()));

/** `hurry`: how many times faster the clock of the connections goes. */
async function scene(onRequest: (came: Came) => void, hurry = 1) {
  const engine = await rawEngine(onRequest);
  const exchanges = createExchanges(() => performance.now() * hurry);
  ends.push(engine.close, exchanges.close);
  return { engine, exchanges, asked: asking(exchanges, engine) };
}

const asking =
  (exchanges: ReturnType<typeof createExchanges>, { endpoint }: Pick<RawEngine, "endpoint">) =>
  async (options: Parameters<typeof ask>[2] = {}): Promise<string | Error> => {
    const { answer, begun } = ask(exchanges, endpoint, options);
    const head = await begun;
    const bytes = await answer.whole();
    if (head instanceof Error) return head;
    return bytes instanceof Error ? bytes : bytes.toString("latin1");
  };

const failure = async (asked: Promise<string | Error>): Promise<readonly string[]> => {
  const error = await asked;
  return error instanceof Error ? [howItFailed(error), error.message] : [error];
};
const echo = ({ text, socket }: Came): void =>
  void socket.write(whole(text.slice(text.indexOf("\r\n\r\n") + 4)));

describe("a connection", () => {
  test("serves one request after the other", async () => {
    const { engine, asked, exchanges } = await scene(echo);
    for (const body of ["1", "2", "3"]) expect(await asked({ body })).toBe(body);
    expect(engine.connections()).toBe(1);
    expect(exchanges.count()).toEqual({ open: 1, idle: 1 });
  });

  test("has one request at a time, and the last one that became idle goes first", async () => {
    const { engine, asked } = await scene(echo);
    await Promise.all(["1", "2", "3"].map((body) => asked({ body })));
    expect(engine.connections()).toBe(3);
    const last = engine.came.at(-1)?.connection;
    for (let turn = 0; turn < 3; turn++) {
      await asked();
      expect(engine.came.at(-1)?.connection).toBe(last);
    }
  });

  test("takes head and body of a small request in one write", async () => {
    const { engine, asked } = await scene(echo);
    await asked();
    await asked({ body: "x".repeat(20_000) });
    expect(engine.reads()).toBe(2);
  });

  test("takes a large request whole", async () => {
    const { asked } = await scene(echo);
    const body = "0123456789".repeat(300_000);
    expect((await asked({ body })) === body).toBe(true);
  });

  test.each<[string, (body: string) => string]>([
    ["says so", (body) => whole(body, "connection: close\r\n")],
    ["speaks HTTP/1.0", (body) => whole(body).replace("1.1", "1.0")],
    ["sends more than the answer", (body) => `${whole(body)}HTTP/1.1 200 OK\r\n\r\n`],
  ])("is not used again when the engine %s", async (_name, answer) => {
    const { engine, asked } = await scene(({ socket }) => void socket.write(answer("ok")));
    for (let turn = 0; turn < 2; turn++) expect(await asked()).toBe("ok");
    expect(engine.connections()).toBe(2);
  });

  test("is not used again when something came while it was idle", async () => {
    const { engine, asked, exchanges } = await scene(echo);
    await asked();
    engine.came[0]?.socket.write(whole("foreign"));
    await eventually("it is closed", () => exchanges.count().open === 0);
    expect(await asked({ body: "mine" })).toBe("mine");
  });

  test("is not used again when the engine has answered before it had the whole request", async () => {
    const { engine, exchanges } = await scene(() => undefined);
    const { answer, begun } = ask(exchanges, engine.endpoint, { body: "x".repeat(20_000_000) });
    await eventually("it has connected", () => engine.open.size === 1);
    for (const socket of engine.open) socket.pause().write(whole("too large"));
    await begun;
    expect(String(await answer.whole())).toBe("too large");
    await eventually("it is closed", () => exchanges.count().open === 0);
  });

  test("that the engine has closed while it was idle is not used", async () => {
    const { engine, asked, exchanges } = await scene(echo);
    await asked();
    engine.came[0]?.socket.end();
    await eventually("it is closed", () => exchanges.count().open === 0);
    expect(await asked({ body: "again" })).toBe("again");
  });

  test("is closed when it was idle for 3 s, before an engine would do it", async () => {
    const { asked, exchanges, engine } = await scene(echo, 10);
    const sinceMs = performance.now();
    await asked();
    await eventually("it is closed", () => exchanges.count().open === 0 && engine.open.size === 0);
    expect(performance.now() - sinceMs).toBeGreaterThan(300);
    await asked();
    expect(engine.connections()).toBe(2);
  });

  test("is closed instead of kept when 256 to one engine are idle", async () => {
    const waiting: Came[] = [];
    const { asked, exchanges } = await scene((came) => void waiting.push(came));
    const all = Array.from({ length: 300 }, () => asked());
    await eventually("all have come", () => waiting.length === 300);
    waiting.forEach(echo);
    await Promise.all(all);
    expect(exchanges.count().idle).toBe(256);
    await eventually("the others are closed", () => exchanges.count().open === 256);
  });
});

describe("a request that fails", () => {
  test.each<[string, string, string]>([
    ["before its answer", "", "it closed the connection before its answer"],
    [
      "in its headers",
      "HTTP/1.1 200",
      "it closed the connection in the middle of its answer's headers",
    ],
    [
      "in a length",
      whole("abc").slice(0, -1),
      "it closed the connection before the end of its answer",
    ],
    [
      "in a chunk",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n",
      "it closed the connection before the end of its answer",
    ],
  ])(
    "because its engine closes %s was dropped, also on a connection that is used again",
    async (_name, bytes, message) => {
      let count = 0;
      const { asked, engine } = await scene((came) =>
        count++ === 0 ? echo(came) : void came.socket.end(bytes),
      );
      await asked();
      expect(await failure(asked())).toEqual(["dropped", message]);
      expect(engine.connections()).toBe(1);
    },
  );

  test("because its engine resets the connection was dropped", async () => {
    const { asked } = await scene(({ socket }) => void socket.resetAndDestroy());
    expect((await failure(asked()))[0]).toBe("dropped");
  });

  test("because nobody listens was refused", async () => {
    const { exchanges } = await scene(echo);
    const port = await freePort(27_000);
    const authority = `127.0.0.1:${port}`;
    const asked = asking(exchanges, { endpoint: { host: "127.0.0.1", port, authority } });
    expect(await failure(asked())).toEqual(["refused", `connect ECONNREFUSED ${authority}`]);
    await eventually("nothing is left", () => exchanges.count().open === 0);
  });

  test("because the connection takes more than 5 s was refused", async () => {
    const { exchanges } = await scene(echo, 20);
    const port = await freePort(27_100);
    const code = `require("net").createServer().listen({ port: ${port}, host: "127.0.0.1", backlog: 1 }, () => { console.log(1); process.kill(process.pid, "SIGSTOP"); })`;
    const stopped = execa(process.execPath, ["-e", code], { reject: false });
    ends.push(() => stopped.kill("SIGKILL"));
    await new Promise((resolve) => stopped.stdout.once("data", resolve));
    const endpoint = { host: "127.0.0.1", port, authority: `127.0.0.1:${port}` };
    const asked = asking(exchanges, { endpoint });
    const failures = await Promise.all(
      Array.from({ length: 8 }, () => failure(asked({ headersTimeoutMs: 5_000 }))),
    );
    expect(failures).toContainEqual(["refused", "no connection within 5 s"]);
  });

  test("because no answer comes in time is late", async () => {
    const { asked, engine } = await scene(() => undefined, 10);
    expect(await failure(asked({ headersTimeoutMs: 2_000 }))).toEqual([
      "late",
      "sent nothing for 2 s",
    ]);
    await eventually("the engine is told", () => engine.open.size === 0);
  });

  test("because headers come slowly is late", async () => {
    const { asked } = await scene(({ socket }) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      const timer = setInterval(() => socket.write("a: b\r\n"), 20);
      socket.once("close", () => clearInterval(timer));
    }, 10);
    expect(await failure(asked({ headersTimeoutMs: 3_000 }))).toEqual([
      "late",
      "sent nothing for 3 s",
    ]);
  });

  test("because the next piece does not come in time is late", async () => {
    const { asked } = await scene(({ socket }) => void socket.write(whole("abc").slice(0, -1)), 10);
    expect(await failure(asked({ pieceTimeoutMs: 2_000 }))).toEqual([
      "late",
      "sent nothing for 2 s",
    ]);
  });

  test.each(hostileAnswers)(
    "because of $name was dropped, and the next one is answered",
    async ({ bytes, why }) => {
      let count = 0;
      const { asked, engine } = await scene((came) =>
        count++ === 0 ? void came.socket.write(Buffer.from(bytes, "latin1")) : echo(came),
      );
      expect(await failure(asked())).toEqual([
        "dropped",
        `its answer is not good HTTP/1.1: ${why}`,
      ]);
      expect(await asked({ body: "mine" })).toBe("mine");
      expect(engine.connections()).toBe(2);
    },
  );
});

describe("a reader", () => {
  test("that pauses makes the engine wait, for longer than it may be silent itself", async () => {
    const size = 30_000_000;
    const { engine, exchanges } = await scene(
      ({ socket }) => void socket.write(whole("x".repeat(size))),
      10,
    );
    const { answer, begun } = ask(exchanges, engine.endpoint, { pieceTimeoutMs: 1_000 });
    await begun;
    let bytes = 0;
    let end: Error | "done" | undefined;
    answer.each((arrival) => {
      if (Buffer.isBuffer(arrival)) bytes += arrival.length;
      else end = arrival ?? "done";
    });
    await eventually("some came", () => bytes > 0);
    answer.pause();
    const before = bytes;
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(bytes - before).toBeLessThanOrEqual(64 * 1024);
    expect([...engine.open][0]?.writableLength).toBeGreaterThan(0);
    answer.resume();
    await eventually("it ends", () => end !== undefined);
    expect([bytes, end]).toEqual([size, "done"]);
  });

  test("that takes nothing makes the engine wait", async () => {
    const { engine, exchanges } = await scene(
      ({ socket }) => void socket.write(whole("x".repeat(30_000_000))),
    );
    const { answer, begun } = ask(exchanges, engine.endpoint);
    await begun;
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect([...engine.open][0]?.writableLength).toBeGreaterThan(0);
    expect((await answer.whole()) as Buffer).toHaveLength(30_000_000);
  });

  test.each(["before the connection is there", "before the answer", "in the middle of it"])(
    "that leaves %s closes the connection, and nobody else's",
    async (when) => {
      const gone = new Gone();
      const { engine, exchanges, asked } = await scene((came) =>
        came.text.endsWith("mine") ? echo(came) : void came.socket.write(whole("abc").slice(0, -1)),
      );
      const { answer, begun } = ask(exchanges, engine.endpoint, { gone });
      if (when === "before the answer")
        await eventually("it has come", () => engine.open.size === 1);
      if (when === "in the middle of it") await begun;
      const left = new Error("left");
      gone.end(left);
      expect(await answer.whole()).toBe(left);
      await eventually("it is closed", () => exchanges.count().open + engine.open.size === 0);
      expect(await asked({ body: "mine" })).toBe("mine");
    },
  );

  test("that throws ends its own answer, and not the process", async () => {
    const { engine, exchanges, asked } = await scene(echo);
    const { answer } = ask(exchanges, engine.endpoint);
    const mistake = new Error("a mistake");
    const end = new Promise((resolve) => {
      answer.each((arrival) => {
        if (Buffer.isBuffer(arrival)) throw mistake;
        resolve(arrival);
      });
    });
    expect(await end).toBe(mistake);
    expect(await asked({ body: "mine" })).toBe("mine");
  });

  test("that leaves after the end of its answer disturbs nobody who has its connection then", async () => {
    const { engine, exchanges, asked } = await scene((came) =>
      came.text.endsWith("later") ? void setTimeout(() => echo(came), 50) : echo(came),
    );
    const gone = new Gone();
    const { answer, begun } = ask(exchanges, engine.endpoint, { gone, body: "first" });
    await begun;
    await answer.whole();
    const later = asked({ body: "later" });
    answer.pause();
    answer.destroy(new Error("late"));
    gone.end(new Error("left"));
    expect(await later).toBe("later");
    expect(engine.connections()).toBe(1);
  });
});

test.each([
  ["http://10.0.0.1:8000", { host: "10.0.0.1", port: 8000, authority: "10.0.0.1:8000" }],
  ["http://node-a", { host: "node-a", port: 80, authority: "node-a" }],
  ["http://[fd00::1]:8000/", { host: "fd00::1", port: 8000, authority: "[fd00::1]:8000" }],
])("an engine at %s is asked there", (url, endpoint) => {
  expect(endpointOf(url)).toEqual(endpoint);
});

test("an engine that is not asked by HTTP is refused", () => {
  const { how, message } = endpointOf("https://node-a:8000") as Error & { how: string };
  expect([how, message]).toEqual([
    "refused",
    "engines are asked by http:// alone, not by https://",
  ]);
});

test("a header that would be read as two is refused", () => {
  expect(headerLines({ a: "b", c: ["d", "é"] })).toBe("a: b\r\nc: d\r\nc: é\r\n");
  // The last becomes a line feed where only the lower byte of a character is written.
  for (const value of ["a\r\nb: c", "a\nb", "a\rb", "a\0b", "a\u{10a}b"])
    for (const headers of [{ x: value }, { x: ["a", value] }])
      expect(headerLines(headers)).toEqual(
        new Error("The header x has characters that no header has."),
      );
});
