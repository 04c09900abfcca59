import { setTimeout as sleep } from "node:timers/promises";
import { Client, Connection } from "@temporalio/client";
import type { WorkflowHandle } from "@temporalio/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { workflowIdOf } from "../../src/domain/names.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { eventually } from "../support/eventually.ts";
import { residentBytes, treeOf } from "../support/processes.ts";
import { rigSpec, startOwnRig, untilPhase } from "../support/rig.ts";
import type { OwnRig } from "../support/rig.ts";
import { startLoad } from "./load.ts";

// A job that nobody touches, under requests: npm run faults -- --soak SECONDS. What it costs is printed; that it changes
// nothing, and writes no history, is asserted.

const job = "soak";
const soakS = Number(process.env["PDJOB_SOAK_S"] ?? 600);
const dayS = 86_400;
/** Its watch alone writes some, twice a day. */
const eventsPerDayMax = 50;
/** Two looks in a row this far apart see the same number of events: it has come to rest. */
const restMs = 3_000;

let rig: OwnRig;
let spec: JobSpec;

beforeAll(async () => {
  rig = await startOwnRig();
  // About fifty requests a second would only measure the engines.
  const envs = { PDJOB_SIM_TOKEN_MS: "20" };
  spec = await rigSpec(rig, job, { leaseS: 60, prefill: { envs }, decode: { envs } });
  await rig.client.start(spec);
  await untilPhase(rig.client, job, "READY");
});
afterAll(async () => rig.stop());

test(
  `for ${soakS} s under requests nothing of it changes, none fails, and no history is written`,
  { timeout: (soakS + 120) * 1_000 },
  async () => {
    const connection = await Connection.connect({ address: rig.stack.temporalAddress });
    const handle = new Client({ connection }).workflow.getHandle(workflowIdOf(job));
    const events = async (): Promise<number> => (await handle.describe()).historyLength;
    await eventually("its history rests", async () => {
      const before = await events();
      await sleep(restMs);
      return (await events()) === before;
    });
    /** Newest last, each in a few words. */
    const writtenSince = async (count: number): Promise<readonly string[]> =>
      ((await handle.fetchHistory()).events ?? []).slice(count).map(inWords);
    const before = { events: await events(), engines: await running(), worker: memoryMb() };
    const load = startLoad(spec);
    await sleep(soakS * 1_000);
    const outcomes = await load.stop();
    const written = await writtenSince(before.events);
    await connection.close();
    process.stdout.write(
      `${soakS} s: ${outcomes.length} requests, ${written.length} history events, worker and agent ${before.worker} → ${memoryMb()} MB\n`,
    );
    expect(outcomes.filter(({ kind }) => kind !== "ok")).toEqual([]);
    expect(outcomes.length).toBeGreaterThan(soakS);
    expect(await running()).toEqual(before.engines);
    const isMuch = written.length > (eventsPerDayMax * soakS) / dayS;
    expect(isMuch ? written : []).toEqual([]);
  },
);

type HistoryEvent = NonNullable<
  Awaited<ReturnType<WorkflowHandle["fetchHistory"]>>["events"]
>[number];

function inWords(event: HistoryEvent): string {
  const kind = Object.keys(event).find((key) => key.endsWith("EventAttributes")) ?? "unknown";
  const { activityTaskScheduledEventAttributes: scheduled } = event;
  const failure = event.activityTaskStartedEventAttributes?.lastFailure?.message;
  const words = [kind.replace("EventAttributes", ""), scheduled?.activityType?.name, failure];
  return words.filter(Boolean).join(" ");
}

async function running(): Promise<readonly string[]> {
  const { replicas, proxies } = await rig.agent.call("list", { job });
  return [...replicas, ...proxies].map(({ name, pid }) => `${name} ${pid}`).toSorted();
}

/** Resident, of the worker's process and what it started. */
function memoryMb(): number {
  const tree = treeOf(rig.stack.workerPid() ?? 0);
  return Math.round(tree.reduce((sum, { pid }) => sum + residentBytes(pid), 0) / 1e6);
}
