import { connect as connectTcp } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Agent, request } from "undici";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ObservedProxy } from "../../src/domain/observed.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { expectedText } from "../../src/sim/text.ts";
import { startLoad } from "../faults/load.ts";
import { eventually } from "../support/eventually.ts";
import { endJob } from "../support/proxied.ts";
import { rigSpec, startRig, untilPhase } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";

/** Together about 4 s for a stream: it outlives any one replacement. */
const streamTokens = 80;
const tokenMs = 50;
const knockEveryMs = 20;
const restarts = 3;
/** Far above what it takes; how long it takes is printed. */
const servesAgainMaxMs = 20_000;
let rig: Rig;
let spec: JobSpec;

beforeAll(async () => {
  rig = await startRig();
  spec = await rigSpec(rig, "demo", {
    prefill: { replicas: 1 },
    decode: { replicas: 2, envs: { PDJOB_SIM_TOKEN_MS: String(tokenMs) } },
    restart: { restartsMax: 20, windowS: 600 },
  });
  await rig.client.start(spec);
  await untilPhase(rig.client, "demo", "READY");
});
afterAll(async () => {
  await endJob(rig, spec);
  await rig.stop();
});

const proxies = async (): Promise<readonly ObservedProxy[]> =>
  (await rig.agent.call("list", { job: "demo" })).proxies;

/** A connection every few milliseconds: how many were refused. */
function startKnocking() {
  let [stopping, refused, opened] = [false, 0, 0];
  const knock = (): void => {
    const socket = connectTcp(spec.scheduler.port, "127.0.0.1");
    socket.on("connect", () => {
      opened += 1;
      socket.destroy();
    });
    socket.on("error", () => void (refused += 1));
  };
  const run = async (): Promise<void> => {
    for (; !stopping; await sleep(knockEveryMs)) knock();
  };
  const running = run();
  return async () => {
    stopping = true;
    await running;
    return { refused, opened };
  };
}

/** The whole text of an answer, on a connection of its own. */
async function ask(body: Readonly<Record<string, unknown>>): Promise<string> {
  const dispatcher = new Agent();
  try {
    const answer = await request(`http://127.0.0.1:${spec.scheduler.port}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "sim", ...body }),
      dispatcher,
    });
    return await answer.body.text();
  } finally {
    await dispatcher.destroy();
  }
}

/** `whole`, or how it ended. */
async function stream(prompt: string): Promise<string> {
  try {
    const text = await ask({ prompt, max_tokens: streamTokens, stream: true });
    const events = text.split("\n").filter((line) => line.startsWith("data: {"));
    const words = events.map((line) => JSON.parse(line.slice(6)).choices?.[0].text).join("");
    const isWhole = words === expectedText("sim/tiny", prompt, streamTokens);
    return isWhole && text.trimEnd().endsWith("data: [DONE]") ? "whole" : `${text.slice(-200)}`;
  } catch (error) {
    return `cut: ${(error as Error).message}`;
  }
}

test("replacing the proxy under load refuses, fails and cuts nothing; each stream ends where it began", async () => {
  const load = startLoad(spec);
  const knocked = startKnocking();
  const streams: Promise<string>[] = [];
  let together = 0;
  for (let turn = 0; turn < restarts; turn++) {
    streams.push(...[0, 1, 2].map((lane) => stream(`turn ${turn} lane ${lane}`)));
    await sleep(500);
    const { retired } = await rig.client.restart("demo", "proxy");
    await eventually(`generation ${retired + 1} serves`, async () => {
      const seen = await proxies();
      together = Math.max(together, seen.length);
      return seen.some(({ generation, state }) => generation > retired && state === "healthy");
    });
  }
  expect(await Promise.all(streams)).toEqual(streams.map(() => "whole"));
  await untilPhase(rig.client, "demo", "READY");
  const outcomes = await load.stop();
  const { refused, opened } = await knocked();
  process.stdout.write(
    `  ${restarts} replacements: ${outcomes.length} requests, ${opened} connections, none refused\n`,
  );
  expect(outcomes.filter(({ kind }) => kind !== "ok")).toEqual([]);
  expect(refused).toBe(0);
  expect(together).toBeGreaterThan(1);
  const left = await proxies();
  expect(left.map(({ generation, leaving }) => [generation, leaving])).toEqual([
    [restarts + 1, undefined],
  ]);
});

test("a proxy that is killed cuts its streams, refuses nobody, and serves again with its members", async () => {
  const [before] = await proxies();
  if (before?.pid === undefined) throw new Error("the proxy has no process");
  const streaming = stream("to be cut");
  await sleep(1_000);
  const knocked = startKnocking();
  const killedMs = Date.now();
  process.kill(before.pid, "SIGKILL");
  const text = await ask({ prompt: "waits", max_tokens: 1 });
  const answeredMs = Date.now() - killedMs;
  process.stdout.write(`  proxy killed → first answer ${answeredMs} ms later\n`);
  expect(JSON.parse(text).choices[0].text).toBe(expectedText("sim/tiny", "waits", 1));
  expect(answeredMs).toBeLessThan(servesAgainMaxMs);
  expect(await streaming).toMatch(/^cut: /);
  const [after] = await proxies();
  expect([after?.generation, after?.run]).toEqual([before.generation, 2]);
  const names = ({ membership }: ObservedProxy) => membership?.members.map(({ name }) => name);
  expect(after && names(after)).toEqual(names(before));
  await untilPhase(rig.client, "demo", "READY");
  expect((await knocked()).refused).toBe(0);
});
