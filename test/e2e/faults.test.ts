import { readFileSync } from "node:fs";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findTemporal } from "../../src/dev/temporal.ts";
import { expectedText } from "../../src/sim/text.ts";
import { eventually } from "../support/eventually.ts";
import { holderOfGuard, processesOf } from "../support/processes.ts";
import { complete, leftOf, rigSpec, startRig, untilPhase } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";
import type { JobSpec } from "../../src/domain/spec.ts";

let rig: Rig;
let spec: JobSpec;

beforeAll(async () => {
  rig = await startRig();
  spec = await rigSpec(rig, "faults");
  await rig.client.start(spec);
  await untilPhase(rig.client, "faults", "READY");
});
afterAll(async () => rig.stop());

const enginePid = async (name: string): Promise<number> => {
  const { replicas } = await rig.agent.call("list", { job: "faults" });
  return known(replicas.find((one) => `${one.role}-${one.index}` === name)?.pid);
};

/** Pid 0 would be the tests' own process group. */
function known(pid: number | undefined): number {
  if (pid === undefined) throw new Error("there is no such process");
  return pid;
}

/** The replica is back under a newer generation, and no process of the older one is left. */
async function healed(name: string, after: number): Promise<void> {
  await eventually(`${name} is READY after g${after}`, async () => {
    const { phase, replicas } = await rig.client.status("faults");
    return phase === "READY" && replicas.some((one) => one.name === name && one.generation > after);
  });
  const leftover = processesOf("faults").filter((pid) =>
    readFileSync(`/proc/${pid}/environ`, "utf8").includes(
      `PDJOB_INCARNATION=faults-${name}-g${after}\0`,
    ),
  );
  expect(leftover).toEqual([]);
  const { text } = await complete(spec, { prompt: name, max_tokens: 4 });
  expect(JSON.parse(text).choices[0].text).toBe(expectedText("sim/tiny", name, 4));
}

const generationOf = async (name: string): Promise<number> =>
  (await rig.client.status("faults")).replicas.find((one) => one.name === name)?.generation ?? 0;

test("a SIGKILLed engine is replaced, its orphaned engine core included", async () => {
  const generation = await generationOf("decode-1");
  process.kill(await enginePid("decode-1"), "SIGKILL");
  await healed("decode-1", generation);
});

test("a replica whose actor is SIGKILLed is replaced", async () => {
  const generation = await generationOf("prefill-1");
  const actor = holderOfGuard(await enginePid("prefill-1"));
  process.kill(actor ?? 0, "SIGKILL");
  await healed("prefill-1", generation);
});

test("a SIGKILLed proxy is replaced and gets its members again", async () => {
  const { proxies } = await rig.agent.call("list", { job: "faults" });
  process.kill(known(proxies[0]?.pid), "SIGKILL");
  await eventually("the proxy has a newer generation", async () =>
    (await rig.agent.call("list", { job: "faults" })).proxies.some(
      ({ generation }) => generation === 2,
    ),
  );
  await untilPhase(rig.client, "faults", "READY");
  expect((await complete(spec, { prompt: "x", max_tokens: 1 })).status).toBe(200);
});

test("requests are answered and nothing restarts while the worker is down", async () => {
  const before = (await rig.client.status("faults")).replicas.map(
    ({ name, generation }) => `${name} g${generation}`,
  );
  const worker = rig.stack.workerPid() ?? 0;
  // A stopped process does as little as a dead one, and is not restarted before this test is done with it.
  process.kill(worker, "SIGSTOP");
  await eventually("the worker is stopped", () => stateOf(worker) === "T");
  for (let turn = 0; turn < 20; turn++)
    expect((await complete(spec, { prompt: `turn ${turn}`, max_tokens: 3 })).status).toBe(200);
  expect(stateOf(worker)).toBe("T");
  rig.stack.killWorker();
  await eventually(
    "another worker runs",
    () => ![undefined, worker].includes(rig.stack.workerPid()),
  );
  await untilPhase(rig.client, "faults", "READY");
  expect(
    (await rig.client.status("faults")).replicas.map(
      ({ name, generation }) => `${name} g${generation}`,
    ),
  ).toEqual(before);
});

/** `T` is stopped. */
const stateOf = (pid: number): string =>
  /^State:\s+(\w)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "";

test("cancelling the workflow releases everything", async () => {
  const { path } = await findTemporal();
  await execa(path, [
    "--address",
    rig.stack.temporalAddress,
    "workflow",
    "cancel",
    "-w",
    "pdjob-faults",
  ]);
  await expect(rig.client.result("faults")).rejects.toThrow(
    "Job faults was cancelled; everything of it is released.",
  );
  expect(await leftOf(rig, spec)).toEqual([]);
});
