import { request } from "undici";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { JobSpec } from "../../src/domain/spec.ts";
import { expectedText } from "../../src/sim/text.ts";
import { eventually } from "../support/eventually.ts";
import { treeOf } from "../support/processes.ts";
import { endJob } from "../support/proxied.ts";
import { complete, rigSpec, startRig, untilPhase } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";

/** Its stream takes six times as long as an engine that stands still is given. */
const slow = { tokenMs: 800, tokens: 30 } as const;
const health = { intervalS: 1, timeoutS: 3, failures: 2, stallS: 2 };

let rig: Rig;
let spec: JobSpec;

beforeAll(async () => {
  rig = await startRig();
  spec = await rigSpec(rig, "frozen", {
    health,
    prefill: { replicas: 1 },
    decode: { replicas: 1, envs: { PDJOB_SIM_TOKEN_MS: String(slow.tokenMs) } },
  });
  await rig.client.start(spec);
  await untilPhase(rig.client, "frozen", "READY");
});
afterAll(async () => {
  await endJob(rig, spec);
  await rig.stop();
});

async function coreOf(replica: string): Promise<number> {
  const { replicas } = await rig.agent.call("list", { job: "frozen" });
  const engine = replicas.find((one) => `${one.role}-${one.index}` === replica)?.pid ?? 0;
  const core = treeOf(engine).find(({ command }) => command.startsWith("VLLM::EngineCore"));
  if (!core) throw new Error(`${replica} has no engine core`);
  return core.pid;
}

const generationOf = async (replica: string): Promise<number> =>
  (await rig.client.status("frozen")).replicas.find(({ name }) => name === replica)?.generation ??
  0;

/** A newer generation serves, and the job says why. */
async function replaced(replica: string, generation: number): Promise<void> {
  await eventually(`${replica} g${generation} was replaced`, async () => {
    const { phase } = await rig.client.status("frozen");
    return phase === "READY" && (await generationOf(replica)) > generation;
  });
  const { events } = await rig.client.status("frozen");
  expect(events.map(({ text }) => text).join("\n")).toMatch(
    new RegExp(
      `The engine of ${replica} g${generation} hangs: it answers /health, but its engine core makes no progress for [4-9] s\\.`,
    ),
  );
  const { text } = await complete(spec, { prompt: "again", max_tokens: 2 });
  expect(JSON.parse(text).choices[0].text).toBe(expectedText("sim/tiny", "again", 2));
}

test("a stream that is slow and long, and engines without requests, are left alone", async () => {
  const { text } = await complete(spec, { prompt: "slow", max_tokens: slow.tokens });
  expect(JSON.parse(text).choices[0].text).toBe(expectedText("sim/tiny", "slow", slow.tokens));
  expect(await generationOf("decode-0")).toBe(1);
  expect(await generationOf("prefill-0")).toBe(1);
});

test("an engine whose core is frozen amid a request is replaced, and its client hears of it", async () => {
  const answer = await request(`http://127.0.0.1:${spec.scheduler.port}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "sim", prompt: "cut", max_tokens: slow.tokens, stream: true }),
  });
  const parts: string[] = [];
  answer.body.setEncoding("utf8").on("data", (part: string) => parts.push(part));
  const ended = new Promise((resolve) => answer.body.once("close", resolve));
  await eventually("it streams", () => parts.length > 0);
  const core = await coreOf("decode-0");
  process.kill(core, "SIGSTOP");
  await replaced("decode-0", 1);
  await ended;
  expect(parts.join("")).toContain('data: {"error":');
  expect(() => process.kill(core, 0)).toThrow("ESRCH");
});

test("one that is frozen while it has nothing to do is found out before a client is", async () => {
  process.kill(await coreOf("prefill-0"), "SIGSTOP");
  await replaced("prefill-0", 1);
});
