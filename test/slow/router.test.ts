import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { request } from "undici";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseConfig } from "../../src/config/parse.ts";
import { freePort } from "../../src/dev/ports.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import type { JobStatus } from "../../src/domain/status.ts";
import { expectedText } from "../../src/sim/text.ts";
import { eventually } from "../support/eventually.ts";
import { answers, endJob } from "../support/proxied.ts";
import { complete, startRig, untilPhase } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
let rig: Rig;
let spec: JobSpec;

/** The documented example with simulated engines: nothing else of it is changed than names, sizes and the port. */
beforeAll(async () => {
  await execa(process.execPath, [join(root, "scripts/setup-extra.mjs"), "router"], {
    stdio: "inherit",
  });
  rig = await startRig();
  const port = await freePort(26_800);
  const text = readFileSync(join(root, "examples/external-proxy.yaml"), "utf8")
    .replace("vllm-router --vllm-pd", `${join(root, ".venv-router/bin/vllm-router")} --vllm-pd`)
    .replace("--port {PORT}", `--port {PORT} --prometheus-port ${await freePort(port + 1)}`)
    .replace("port: 8000", `port: ${port}`)
    .replace("working_dir: /tmp/pdjob-external-proxy", `working_dir: ${join(rig.dir, "router")}`)
    .replace("HF_TOKEN: env:HF_TOKEN", "PDJOB_SIM_TOKEN_MS: '30'")
    .replace("quiet: 15", "quiet: 2")
    .replace("Qwen/Qwen3-32B", "sim/tiny\n    served_model_name: sim")
    .replaceAll("num_gpus: 4", "num_gpus: 2")
    .replace("tensor_parallel_size: 4", "tensor_parallel_size: 2");
  const parsed = parseConfig(`${text}\nengine: {command: pdjob-sim-engine serve}\n`, {
    file: "external-proxy.yaml",
    name: "router",
  });
  if (!parsed.ok) throw new Error(parsed.issues.map(({ message }) => message).join("\n"));
  spec = parsed.spec;
});
afterAll(async () => rig?.stop());

const urls = ({ replicas }: JobStatus): readonly string[] =>
  replicas.flatMap(({ url }) => (url ? [url] : [])).toSorted();

async function workers(): Promise<readonly string[]> {
  const answer = await request(`http://127.0.0.1:${spec.scheduler.port}/list_workers`);
  return ((await answer.body.json()) as { urls: string[] }).urls.toSorted();
}

const settled = (what: string, isSo: (status: JobStatus) => boolean): Promise<JobStatus> =>
  eventually(what, async () => {
    const status = await rig.client.status("router");
    return status.phase === "READY" && isSo(status) ? status : undefined;
  });

test("the documented example deploys vllm-router, which knows every replica", async () => {
  await rig.client.start(spec);
  const status = await untilPhase(rig.client, "router", "READY");
  expect(status.proxy).toMatchObject({ phase: "READY", builtin: false, generation: 1 });
  expect(await workers()).toEqual(urls(status));
});

test("its answers are the engines', and every prompt's KV went from prefill to decode", async () => {
  const before = await kvCounts();
  for (const prompt of ["one", "two words", "three more words"]) await answers(spec, prompt);
  const { external, local } = await kvCounts();
  expect([external - before.external, local]).toEqual([6, 0]);
});

async function kvCounts(): Promise<{ readonly external: number; readonly local: number }> {
  const { replicas } = await rig.client.status("router");
  const counts = { external: 0, local: 0 };
  for (const { url } of replicas.filter(({ role }) => role === "decode")) {
    const text = await (await request(`${url}/metrics`)).body.text();
    counts.external += Number(/source="external_kv_transfer"\} (\d+)/.exec(text)?.[1]);
    counts.local += Number(/source="local_compute"\} (\d+)/.exec(text)?.[1]);
  }
  return counts;
}

test("a replica that goes is taken out over HTTP, drained, and no stream is cut", async () => {
  const streams = Array.from({ length: 4 }, async (_, lane) => {
    const prompt = `lane ${lane}`;
    const { text } = await complete(spec, { prompt, max_tokens: 100, stream: true });
    const events = text.split("\n").filter((line) => line.startsWith("data: {"));
    return events.map((line) => JSON.parse(line.slice(6)).choices[0].text).join("");
  });
  await eventually("decode-1 streams", async () => {
    const { requests } = await rig.agent.call("engineLoad", { name: "router-decode-1-g1" });
    return (requests ?? 0) > 0;
  });
  await rig.client.scale("router", { role: "decode", replicas: 1 });
  const status = await settled("decode-1 is gone", ({ replicas }) => replicas.length === 3);
  expect(await Promise.all(streams)).toEqual(
    [0, 1, 2, 3].map((lane) => expectedText("sim/tiny", `lane ${lane}`, 100)),
  );
  expect(status.proxy.generation).toBe(1);
  expect(await workers()).toEqual(urls(status));
});

test("a replica that comes takes a restart, since the router cannot add one", async () => {
  await rig.client.scale("router", { role: "decode", replicas: 2 });
  const status = await settled("decode-1 is there", ({ replicas }) => replicas.length === 4);
  expect(status.proxy.generation).toBe(2);
  expect(await workers()).toEqual(urls(status));
  await answers(spec, "after the restart");
});

test("an engine that dies is taken out at once, and its successor is served", async () => {
  const { replicas } = await rig.agent.call("list", { job: "router" });
  const victim = replicas.find(({ role, index }) => role === "decode" && index === 0);
  if (victim?.pid === undefined) throw new Error("decode-0 has no process");
  process.kill(victim.pid, "SIGKILL");
  const status = await settled("decode-0 has a successor", (one) =>
    one.replicas.some(({ name, generation }) => name === "decode-0" && generation === 2),
  );
  expect(await workers()).toEqual(urls(status));
  await answers(spec, "after the death");
});

test("stop leaves nothing of it", async () => {
  await endJob(rig, spec);
});
