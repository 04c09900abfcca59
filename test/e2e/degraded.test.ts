import { request } from "undici";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { JobSpec } from "../../src/domain/spec.ts";
import { expectedText } from "../../src/sim/text.ts";
import { eventually } from "../support/eventually.ts";
import { endJob, jobOf } from "../support/proxied.ts";
import { startRig, untilPhase } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";
import { pidOf } from "../support/processes.ts";

let rig: Rig;
let spec: JobSpec;

beforeAll(async () => {
  rig = await startRig();
  const scheduler =
    "degraded: {prefill: decode-local}\nselection: {prefill: prefix-affinity, ramp: 1}";
  spec = await jobOf(rig, "degraded", scheduler, "restart: {max_restarts: 0}");
  await rig.client.start(spec);
  await untilPhase(rig.client, "degraded", "READY");
});
afterAll(async () => rig.stop());

async function ask(prompt: string) {
  const answer = await request(`http://127.0.0.1:${spec.scheduler.port}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "sim", prompt, max_tokens: 5 }),
  });
  const text = await answer.body.text();
  return { status: answer.statusCode, header: answer.headers["x-pdjob-degraded"], text };
}

const served = (prompt: string, header: string | undefined) => ({
  status: 200,
  header,
  text: expect.stringContaining(JSON.stringify(expectedText("sim/tiny", prompt, 5))),
});

test("a job that loses its prefill serves from decode alone, says so, and stops saying so when it is back", async () => {
  expect(await ask("whole")).toEqual(served("whole", undefined));
  const { replicas } = await rig.agent.call("list", { job: "degraded" });
  process.kill(pidOf(replicas.find(({ role }) => role === "prefill")), "SIGKILL");
  // Before anybody has noticed, too.
  expect(await ask("at once")).toEqual(served("at once", "decode-local"));
  const status = await eventually("the status says so", async () => {
    const found = await rig.client.status("degraded");
    return found.proxy.degraded === undefined ? undefined : found;
  });
  expect(status).toMatchObject({
    phase: "DEGRADED",
    proxy: { phase: "READY", degraded: "decode-local" },
    ready: { prefill: 0, decode: 1 },
  });
  expect(await ask("alone")).toEqual(served("alone", "decode-local"));
  const health = await request(`http://127.0.0.1:${spec.scheduler.port}/health`);
  expect([health.statusCode, await health.body.json()]).toMatchObject([
    200,
    { status: "degraded", degraded: "decode-local" },
  ]);
  spec = { ...spec, restart: { restartsMax: 5, windowS: 600 } };
  await rig.client.apply(spec);
  const whole = await untilPhase(rig.client, "degraded", "READY");
  expect(whole.proxy).not.toHaveProperty("degraded");
  expect(await ask("again")).toEqual(served("again", undefined));
});

test("another policy starts the proxy anew, and refuses nobody meanwhile", async () => {
  const { degraded: _, ...scheduler } = spec.scheduler;
  let changing = true;
  const load = Array.from({ length: 4 }, async () => {
    const statuses: number[] = [];
    while (changing) statuses.push((await ask("x")).status);
    return statuses;
  });
  try {
    await rig.client.apply({ ...spec, scheduler });
    await eventually("another proxy serves", async () => {
      const { phase, proxy } = await rig.client.status("degraded");
      return phase === "READY" && proxy.generation === 2;
    });
  } finally {
    changing = false;
  }
  const statuses = (await Promise.all(load)).flat();
  expect(new Set(statuses)).toEqual(new Set([200]));
  await endJob(rig, spec);
});
