import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { JobSpec } from "../../src/domain/spec.ts";
import { eventually } from "../support/eventually.ts";
import { allProcesses, treeOf } from "../support/processes.ts";
import type { Rig } from "../support/rig.ts";
import { complete } from "../contract/calls.ts";
import { answersOf, deploy, enginesOf, kvSources, stopAndLook } from "./job.ts";
import { prompts, tokensAsked } from "./prompts.ts";
import { bootTimeoutMs } from "./real.ts";
import { startReal } from "./rig.ts";

let rig: Rig;
let spec: JobSpec;
let reference: Promise<readonly (readonly number[])[]>;

beforeAll(async () => {
  const connectors = [
    { kv_connector: "NixlConnector", kv_role: "kv_both", kv_buffer_device: "cpu" },
    { kv_connector: "ExampleConnector", kv_role: "kv_both" },
  ];
  const kv = { kv_connector: "MultiConnector", kv_connector_extra_config: { connectors } };
  ({ rig, spec, reference } = await startReal({ name: "multi", prefillReplicas: 2, kv }));
});
afterAll(async () => rig?.stop());

const decodeOf = async () => {
  const [decode] = await enginesOf(rig, spec, "decode");
  if (!decode) throw new Error("there is no decode engine");
  return decode;
};

test("two prefill engines and one decode engine with NIXL and files become READY", async () => {
  const seconds = await deploy(rig, spec);
  process.stdout.write(
    `2 prefill and 1 decode engine with both: READY after ${seconds.toFixed(0)} s\n`,
  );
});

test("twenty greedy answers equal one engine's; the KV came by NIXL, and was written to files as well", async () => {
  const answers = await answersOf(spec, prompts);
  expect(answers.map(({ ids }) => ids)).toEqual(await reference);
  const tokens = answers.reduce((sum, { promptTokens }) => sum + promptTokens, 0);
  expect(await kvSources(await decodeOf())).toEqual({
    computed: 0,
    cached: 0,
    transferred: tokens,
    byNixl: tokens,
    byStore: 0,
  });
  const files = readdirSync(join(spec.workingDir, ".pdjob", "kv", "multi"));
  expect(files.length).toBeGreaterThanOrEqual(prompts.length);
});

test("a decode engine whose core is killed is replaced", async () => {
  const { pid, generation } = await decodeOf();
  const core = treeOf(pid).find(({ command }) => command.startsWith("VLLM::EngineCore"));
  process.kill(core?.pid ?? 0, "SIGKILL");
  await eventually(
    "a newer generation serves",
    async () => {
      const { phase } = await rig.client.status("multi");
      return phase === "READY" && (await decodeOf()).generation > generation;
    },
    bootTimeoutMs,
  );
  expect(allProcesses().some((row) => row.pid === pid)).toBe(false);
});

test("the new one, asked without a prefill, finds the KV in the files", async () => {
  const decode = await decodeOf();
  const answer = await complete(decode, { prompt: prompts[19], ...tokensAsked });
  const { choices } = answer.json<{ choices: { token_ids: number[] }[] }>();
  expect(choices[0]?.token_ids).toEqual((await reference)[19]);
  const { byNixl, byStore } = await kvSources(decode);
  expect([byNixl, byStore > 0]).toEqual([0, true]);
});

test("stop leaves no engine process, no placement group and no port", async () => {
  expect(await stopAndLook(rig, spec)).toEqual([]);
});
