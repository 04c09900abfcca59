import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { request } from "undici";
import type { Dispatcher } from "undici";
import { inject } from "vitest";
import { connect } from "../../src/client.ts";
import type { PdjobClient } from "../../src/client.ts";
import { plainServer } from "../../src/client/server.ts";
import { freePort } from "../../src/dev/ports.ts";
import { startStack } from "../../src/dev/stack.ts";
import type { Stack, StackOptions } from "../../src/dev/stack.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import type { JobStatus } from "../../src/domain/status.ts";
import { connectAgent } from "../../src/ray/agent.ts";
import type { Agent } from "../../src/ray/agent.ts";
import { eventually } from "./eventually.ts";
import { isListening } from "./listening.ts";
import { allProcesses, processesOf } from "./processes.ts";
import type { SharedStack } from "./shared-stack.ts";
import { makeSpec } from "./spec.ts";

export interface Rig {
  readonly stack: Pick<Stack, "temporalAddress" | "rayAddress" | "workerPid">;
  readonly client: PdjobClient;
  readonly agent: Agent;
  readonly dir: string;
  /** `host:port` of everything that engines and proxies of a job were seen with so far. */
  endpointsOf(job: string): readonly string[];
  stop(): Promise<void>;
}

/** A rig whose stack may be harmed: no other file uses it. */
export interface OwnRig extends Rig {
  readonly stack: Stack;
}

const lookEveryMs = 1_000;
const jobsMax = 100;

/**
 * Real Temporal, real Ray (a head and two nodes with 8 declared GPUs each), a real worker: those that the project's
 * files share, if they do. Jobs that a file leaves there end with its rig.
 */
export async function startRig(): Promise<Rig> {
  const shared = inject("stack");
  if (shared === undefined) return startOwnRig();
  const dir = mkdtempSync(join(tmpdir(), "pdjob-rig-"));
  // Programs find the stack in their state folder.
  copyFileSync(join(shared.stateDir, "dev.json"), join(dir, "dev.json"));
  const { stop, ...rig } = await lookInto(shared, dir);
  const workerPid = (): number | undefined =>
    allProcesses().find(
      ({ command }) => command.includes("pdjob-worker") && command.includes(shared.rayAddress),
    )?.pid;
  return {
    ...rig,
    stack: { ...shared, workerPid },
    async stop(): Promise<void> {
      const { jobs } = await rig.client.list(jobsMax);
      for (const { job } of jobs) await endLeftover(rig.client, job);
      await stop();
    },
  };
}

/** As `startRig`, on a stack of its own. */
export async function startOwnRig(
  options: Pick<
    StackOptions,
    "keepTables" | "workerEnv" | "workerProgram" | "workerBackoffMaxMs"
  > = {},
): Promise<OwnRig> {
  const dir = mkdtempSync(join(tmpdir(), "pdjob-rig-"));
  const stack = await startStack({ stateDir: dir, ...options, port: 17_233, uiPort: 18_233 });
  const { stop, ...rig } = await lookInto(stack, dir);
  return {
    ...rig,
    stack,
    async stop(): Promise<void> {
      await stop(() => stack.stop());
    },
  };
}

async function lookInto(
  {
    temporalAddress,
    taskQueue,
    rayAddress,
  }: Pick<SharedStack, "temporalAddress" | "taskQueue" | "rayAddress">,
  dir: string,
) {
  const client = await connect({ server: plainServer(temporalAddress), taskQueue });
  const agent = connectAgent({ rayAddress });
  const endpoints = watchEndpoints(agent);
  const stop = async (stopStack?: () => Promise<void>): Promise<void> => {
    await endpoints.stop();
    await agent.close();
    await client.close();
    await stopStack?.();
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  };
  return { client, agent, dir, endpointsOf: endpoints.of, stop };
}

async function endLeftover(client: PdjobClient, job: string): Promise<void> {
  if (!(await client.isRunning(job))) return;
  await client.stop(job);
  await client.result(job);
}

/** Ports are chosen anew for each generation, and nothing tells them once the job is gone: so they are noted meanwhile. */
function watchEndpoints(agent: Agent) {
  const seen = new Map<string, Set<string>>();
  const ended = new AbortController();
  async function look(job: string): Promise<void> {
    const { replicas, followers = [], proxies } = await agent.call("list", { job });
    const found = seen.get(job) ?? new Set();
    for (const { endpoint } of [...replicas, ...followers])
      for (const port of Object.values(endpoint?.ports ?? {}))
        found.add(`${endpoint?.host}:${port}`);
    for (const { host, port } of proxies) if (host && port) found.add(`${host}:${port}`);
    seen.set(job, found);
  }
  async function watch(): Promise<void> {
    while (!ended.signal.aborted) {
      const { jobs } = await agent.call("jobs", {}).catch(() => ({ jobs: [] }));
      for (const { job } of jobs) await look(job).catch(() => undefined); // Tests kill what is asked here.
      await sleep(lookEveryMs, undefined, { signal: ended.signal }).catch(() => undefined);
    }
  }
  const watching = watch();
  return {
    of: (job: string): readonly string[] => [...(seen.get(job) ?? [])],
    async stop(): Promise<void> {
      ended.abort();
      await watching;
    },
  };
}

/** A spec of simulated engines in the rig's folder, with a proxy port of its own. */
export async function rigSpec(
  { dir }: Rig,
  name: string,
  overrides: Parameters<typeof makeSpec>[0] = {},
): Promise<JobSpec> {
  const port = await freePort(28_000 + Math.floor(Math.random() * 2_000));
  return makeSpec({
    name,
    workingDir: join(dir, name),
    stopGraceS: 2,
    leaseS: 3_600,
    scheduler: { port, membership: "builtin" },
    ...overrides,
  });
}

export const untilPhase = (
  client: PdjobClient,
  job: string,
  phase: JobStatus["phase"],
  timeoutMs = 60_000,
): Promise<JobStatus> =>
  eventually(
    `${job} is ${phase}`,
    async () => {
      const status = await client.status(job);
      if (status.phase === "FAILED" && phase !== "FAILED")
        throw new Error(`failed: ${status.failure?.message}`);
      return status.phase === phase ? status : undefined;
    },
    timeoutMs,
  );

/** What is left of a job: in Ray, as processes, and listening, engines included. Empty when everything is released. */
export async function leftOf(
  { agent, endpointsOf }: Rig,
  { name, scheduler }: JobSpec,
): Promise<readonly string[]> {
  const {
    replicas,
    followers = [],
    placementGroups,
    proxies,
  } = await agent.call("list", {
    job: name,
  });
  const ports = [`127.0.0.1:${scheduler.port}`, ...endpointsOf(name)];
  const open = await Promise.all(ports.map(isListening));
  const listening = ports.filter((_, index) => open[index]).map((port) => `port ${port}`);
  const processes = processesOf(name).map((pid) => `process ${pid}`);
  return [
    ...[...replicas, ...followers, ...placementGroups, ...proxies].map((one) => one.name),
    ...processes,
    ...listening,
  ];
}

export async function complete(
  { scheduler }: JobSpec,
  body: Readonly<Record<string, unknown>>,
  { path = "/v1/completions", dispatcher }: { path?: string; dispatcher?: Dispatcher } = {},
) {
  const url = `http://127.0.0.1:${scheduler.port}${path}`;
  const answer = await request(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "sim", ...body }),
    ...(dispatcher ? { dispatcher } : {}),
  });
  return { status: answer.statusCode, text: await answer.body.text() };
}
