import { execa } from "execa";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { request } from "undici";
import { findTemporal } from "../../src/dev/temporal-cli.ts";
import { expectedText, renderChat } from "../../src/sim/text.ts";
import { complete, leftOf, rigSpec, startRig, untilPhase } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";
import type { JobSpec } from "../../src/domain/spec.ts";

let rig: Rig;
let spec: JobSpec;

beforeAll(async () => {
  rig = await startRig();
  spec = await rigSpec(rig, "main");
});
afterAll(async () => rig.stop());

test("a job of 2 prefill and 2 decode replicas becomes READY", async () => {
  await rig.client.start(spec);
  const status = await untilPhase(rig.client, "main", "READY");
  expect(status.ready).toEqual({ prefill: 2, decode: 2 });
  expect(status.proxy).toMatchObject({ phase: "READY", builtin: true, membershipGeneration: 1 });
});

test("a second start of the same job is refused with what to do", async () => {
  await expect(rig.client.start(spec)).rejects.toThrow(
    "Job main runs already. See pdjob-client status main; stop it first, or give this one another name.",
  );
});

test("the Web UI sees the steps under the user's names, each with a summary", async () => {
  const { path } = await findTemporal();
  const { stdout } = await execa(path, [
    "--address",
    rig.stack.temporalAddress,
    "workflow",
    "show",
    "-w",
    "pdjob-main",
    "-o",
    "json",
  ]);
  const { events } = JSON.parse(stdout) as {
    events: { activityTaskScheduledEventAttributes?: { activityType: { name: string } } }[];
  };
  const names = new Set(
    events.flatMap((event) => event.activityTaskScheduledEventAttributes?.activityType.name ?? []),
  );
  for (const name of [
    "reservePlacementGroup",
    "startPrefill",
    "readKvIp",
    "startDecode",
    "waitHealthy",
    "sendCanary",
    "renderProxy",
    "runProxy",
  ]) {
    expect([...names]).toContain(name);
  }
});

test("a completion through the proxy is what the simulated engines must give", async () => {
  const { status, text } = await complete(spec, { prompt: "tell me more", max_tokens: 12 });
  expect(status).toBe(200);
  expect(JSON.parse(text)).toMatchObject({
    choices: [{ text: expectedText("sim/tiny", "tell me more", 12), finish_reason: "length" }],
    usage: { prompt_tokens: 3, completion_tokens: 12 },
  });
});

test("a streamed chat through the proxy is what the simulated engines must give", async () => {
  const messages = [{ role: "user", content: "how are you?" }];
  const { text } = await complete(
    spec,
    { messages, max_tokens: 9, stream: true },
    { path: "/v1/chat/completions" },
  );
  const events = text.split("\n").filter((line) => line.startsWith("data: {"));
  const words = events.map((line) => JSON.parse(line.slice(6)).choices[0].delta.content).join("");
  expect(words).toBe(expectedText("sim/tiny", renderChat(messages), 9));
  expect(text.trimEnd().endsWith("data: [DONE]")).toBe(true);
});

test("every prompt's KV went from a prefill to a decode engine", async () => {
  const { replicas } = await rig.client.status("main");
  const counts = { external: 0, local: 0 };
  for (const { url } of replicas.filter(({ role }) => role === "decode")) {
    const text = await (await request(`${url}/metrics`)).body.text();
    counts.external += Number(/source="external_kv_transfer"\} (\d+)/.exec(text)?.[1]);
    counts.local += Number(/source="local_compute"\} (\d+)/.exec(text)?.[1]);
  }
  expect(counts.local).toBe(0);
  expect(counts.external).toBeGreaterThan(0);
});

test("decode goes 2→3 by signal and 3→1 by update under load without a failed request", async () => {
  const load = startLoad();
  const { path } = await findTemporal();
  const signal = [
    "workflow",
    "signal",
    "-w",
    "pdjob-main",
    "--name",
    "scaleTo",
    "--input",
    '{"role":"decode","replicas":3}',
  ];
  await execa(path, ["--address", rig.stack.temporalAddress, ...signal]);
  await rigReady({ prefill: 2, decode: 3 });
  await sleep(500);
  const answer = await rig.client.scale("main", { role: "decode", replicas: 1 });
  expect(answer.desired).toEqual({ prefill: 2, decode: 1 });
  await rigReady({ prefill: 2, decode: 1 });
  await sleep(500);
  const results = await load.stop();
  expect(results.length).toBeGreaterThan(50);
  expect(results.filter((result) => result !== "ok")).toEqual([]);
});

test("a scale that can never fit is refused at once, with the numbers", async () => {
  await expect(rig.client.scale("main", { role: "decode", replicas: 9 })).rejects.toThrow(
    "2 prefill × 2 + 9 decode × 2 = 22 GPUs, but num_gpus of job main is 16. Ask for fewer replicas, or start the job with a larger num_gpus.",
  );
});

test("a malformed signal becomes an event and harms nothing", async () => {
  const { path } = await findTemporal();
  await execa(path, [
    "--address",
    rig.stack.temporalAddress,
    "workflow",
    "signal",
    "-w",
    "pdjob-main",
    "--name",
    "scaleTo",
    "--input",
    '{"role":"gpu","replicas":-1}',
  ]);
  await sleep(1_000);
  const { phase, events } = await rig.client.status("main");
  expect(phase).toBe("READY");
  expect(events.map(({ text }) => text).join("\n")).toContain(
    "scaleTo was ignored: A scale request is",
  );
});

test("stop leaves no actor, no placement group, no process and no listening port", async () => {
  await rig.client.stop("main");
  await expect(rig.client.result("main")).resolves.toEqual({ phase: "STOPPED" });
  expect(await leftOf(rig, spec)).toEqual([]);
  await expect(rig.client.stop("main")).rejects.toThrow("Job main has ended already.");
  await expect(rig.client.stop("other")).rejects.toThrow(
    "There is no job other. See pdjob-client list.",
  );
});

async function rigReady(ready: { prefill: number; decode: number }): Promise<void> {
  await expect
    .poll(
      async () => {
        const status = await rig.client.status("main");
        return status.phase === "READY" && status.replicas.length === ready.prefill + ready.decode
          ? status.ready
          : status.phase;
      },
      { timeout: 30_000 },
    )
    .toEqual(ready);
}

/** Streams and whole answers, eight at a time, each checked word for word. */
function startLoad() {
  let stopping = false;
  const results: string[] = [];
  const client = async (lane: number): Promise<void> => {
    for (let turn = 0; !stopping; turn++) {
      const prompt = `lane ${lane} turn ${turn}`;
      const stream = lane % 2 === 0;
      const outcome = await complete(spec, { prompt, max_tokens: 40, stream }).catch(
        (error: Error) => error,
      );
      results.push(outcome instanceof Error ? outcome.message : verdict(outcome, prompt, stream));
    }
  };
  const lanes = Array.from({ length: 8 }, (_, lane) => client(lane));
  const stop = async (): Promise<readonly string[]> => {
    stopping = true;
    await Promise.all(lanes);
    return results;
  };
  return { stop };
}

function verdict(
  { status, text }: { status: number; text: string },
  prompt: string,
  stream: boolean,
): string {
  if (status !== 200) return `${status}: ${text}`;
  const events = stream
    ? text
        .split("\n")
        .filter((line) => line.startsWith("data: {"))
        .map((line) => line.slice(6))
    : [text];
  const words = events.map((event) => JSON.parse(event).choices[0].text).join("");
  return words === expectedText("sim/tiny", prompt, 40) ? "ok" : `truncated: ${words.length}`;
}
