import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { JobSpec } from "../../src/domain/spec.ts";
import type { Rig } from "../support/rig.ts";
import { metric } from "../contract/metrics-text.ts";
import { answersOf, deploy, enginesOf, killAndHeal, kvSources, stopAndLook } from "./job.ts";
import { blockSize, prompts } from "./prompts.ts";
import { startReal } from "./rig.ts";

let rig: Rig;
let spec: JobSpec;
let reference: Promise<readonly (readonly number[])[]>;

beforeAll(async () => {
  // The connector's name of old, as in configurations of `vllm pdjob`: this vLLM has it as ExampleConnector.
  const kv = { kv_connector: "SharedStorageConnector" };
  ({ rig, spec, reference } = await startReal({ name: "store", prefillReplicas: 2, kv }));
});
afterAll(async () => rig?.stop());

/** Whole blocks, and never the last two tokens: so the connector looks for a prompt. */
const inStore = (tokens: number): number => Math.floor((tokens - 2) / blockSize) * blockSize;

test("two prefill engines and one decode engine with KV in files become READY", async () => {
  const seconds = await deploy(rig, spec);
  process.stdout.write(
    `2 prefill and 1 decode engine with files: READY after ${seconds.toFixed(0)} s\n`,
  );
  expect((await rig.client.status("store")).ready).toEqual({ prefill: 2, decode: 1 });
});

test("twenty greedy answers equal one engine's, and whole blocks of every prompt came from the files", async () => {
  const answers = await answersOf(spec, prompts);
  expect(answers.map(({ ids }) => ids)).toEqual(await reference);
  const stored = answers.reduce((sum, { promptTokens }) => sum + inStore(promptTokens), 0);
  const all = answers.reduce((sum, { promptTokens }) => sum + promptTokens, 0);
  const [decode] = await enginesOf(rig, spec, "decode");
  expect(await kvSources({ url: decode?.url ?? "" })).toEqual({
    computed: all - stored,
    cached: 0,
    transferred: stored,
    byNixl: 0,
    byStore: stored,
  });
  expect(readdirSync(join(spec.workingDir, ".pdjob", "kv", "store"))).toHaveLength(prompts.length);
});

test("both prefill engines wrote: each computed the prompts that it was given", async () => {
  const engines = await enginesOf(rig, spec, "prefill");
  const counts = await Promise.all(
    engines.map(({ url }) => metric({ url }, "vllm:prompt_tokens_total")),
  );
  expect(counts.filter((count) => count > 0)).toHaveLength(2);
});

test("a new decode engine finds in the files what engines before it have written", async () => {
  await killAndHeal(rig, spec, "decode");
  const answers = await answersOf(spec, prompts);
  expect(answers.map(({ ids }) => ids)).toEqual(await reference);
  const stored = answers.reduce((sum, { promptTokens }) => sum + inStore(promptTokens), 0);
  const [decode] = await enginesOf(rig, spec, "decode");
  expect((await kvSources({ url: decode?.url ?? "" })).byStore).toBe(stored);
});

test("stop leaves no engine process, no placement group and no port", async () => {
  expect(await stopAndLook(rig, spec)).toEqual([]);
});
