import { expect } from "vitest";
import type { Role } from "../../src/domain/role.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import type { Reachable } from "../contract/bed.ts";
import { eventually } from "../support/eventually.ts";
import { allProcesses, incarnationOf, processesOf, treeOf } from "../support/processes.ts";
import { complete, leftOf, untilPhase } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";
import { tokensAsked } from "./prompts.ts";
import { bootTimeoutMs } from "./real.ts";

/** Which process of an engine is killed. */
export type Victim = "API" | "VLLM::EngineCore";

/** An engine of a job: its API process has `pid`. */
interface JobEngine extends Reachable {
  readonly role: Role;
  readonly pid: number;
  readonly generation: number;
}

interface Killed extends JobEngine {
  readonly others: readonly string[];
}

/** Starts the job and waits for READY; answers with the seconds that took. */
export async function deploy(rig: Rig, spec: JobSpec): Promise<number> {
  const startedMs = Date.now();
  await rig.client.start(spec);
  await untilPhase(rig.client, spec.name, "READY", bootTimeoutMs);
  return (Date.now() - startedMs) / 1_000;
}

/** The ready engines of a role, as they are now. */
export async function enginesOf(
  { client, agent }: Rig,
  { name }: JobSpec,
  role: Role,
): Promise<readonly JobEngine[]> {
  const { replicas } = await client.status(name);
  const listed = await agent.call("list", { job: name });
  return replicas
    .filter((one) => one.role === role)
    .flatMap(({ name: replica, url, generation }) => {
      const pid = listed.replicas.find(
        (one) => `${one.role}-${one.index}` === replica && one.generation === generation,
      )?.pid;
      return url === undefined || pid === undefined ? [] : [{ role, url, pid, generation }];
    });
}

/** The first engine of a role. */
export async function engineOf(rig: Rig, spec: JobSpec, role: Role): Promise<JobEngine> {
  const [engine] = await enginesOf(rig, spec, role);
  if (!engine) throw new Error(`${spec.name} has no ${role} engine`);
  return engine;
}

/** What the proxy answers to each prompt, token by token. */
export async function answersOf(
  spec: JobSpec,
  prompts: readonly string[],
): Promise<readonly { readonly ids: readonly number[]; readonly promptTokens: number }[]> {
  const answers = [];
  for (const prompt of prompts) {
    const { status, text } = await complete(spec, { model: "tiny", prompt, ...tokensAsked });
    expect(status, text).toBe(200);
    const { choices, usage } = JSON.parse(text);
    answers.push({ ids: choices[0].token_ids, promptTokens: usage.prompt_tokens });
  }
  return answers;
}

/** Kills a process of the first engine of a role; answers with what that engine and all others were. */
export async function kill(
  rig: Rig,
  spec: JobSpec,
  role: Role,
  victim: Victim = "API",
): Promise<Killed> {
  const engine = await engineOf(rig, spec, role);
  const core = treeOf(engine.pid).find(({ command }) => command.startsWith("VLLM::EngineCore"));
  const pid = victim === "API" ? engine.pid : core?.pid;
  if (pid === undefined) throw new Error(`${spec.name} has no ${victim} of ${role}`);
  const others = await othersOf(rig, spec, role);
  process.kill(pid, "SIGKILL");
  return { ...engine, others };
}

/** The generations of all replicas but the first of a role. */
async function othersOf({ client }: Rig, { name: job }: JobSpec, role: Role) {
  const { replicas } = await client.status(job);
  return replicas.flatMap(({ name, generation }) =>
    name === `${role}-0` ? [] : `${name} g${generation}`,
  );
}

/** Waits until a newer generation serves, and as many engines as there are to be: all others are those of before. */
export async function untilReplaced(
  rig: Rig,
  spec: JobSpec,
  { role, generation, others }: Killed,
  counts: Readonly<Record<Role, number>>,
): Promise<void> {
  await eventually(
    `${role}-0 serves under a newer generation`,
    async () => {
      const { phase, ready } = await rig.client.status(spec.name);
      const [now] = await enginesOf(rig, spec, role);
      const areThere = ready.prefill === counts.prefill && ready.decode === counts.decode;
      return phase === "READY" && areThere && (now?.generation ?? 0) > generation;
    },
    bootTimeoutMs,
  );
  expect(await othersOf(rig, spec, role)).toEqual(others);
  // By the mark of their generation: a busy machine gives the number of a process to another one within minutes.
  const old = `${spec.name}-${role}-0-g${generation}`;
  expect(processesOf(spec.name).filter((pid) => incarnationOf(pid) === old)).toEqual([]);
}

/** Stops the job; answers with what is left of it: names in Ray, processes, ports. */
export async function stopAndLook(rig: Rig, spec: JobSpec): Promise<readonly string[]> {
  const { replicas } = await rig.agent.call("list", { job: spec.name });
  const trees = replicas.flatMap(({ pid }) => (pid === undefined ? [] : treeOf(pid)));
  expect(trees.filter(({ command }) => command.startsWith("VLLM::"))).toHaveLength(
    replicas.length * 2,
  );
  await rig.client.stop(spec.name);
  await rig.client.result(spec.name);
  const pids = new Set(trees.map(({ pid }) => pid));
  const alive = allProcesses().filter(({ pid }) => pids.has(pid));
  return [
    ...(await leftOf(rig, spec)),
    ...alive.map(({ pid, command }) => `process ${pid} ${command}`),
  ];
}
