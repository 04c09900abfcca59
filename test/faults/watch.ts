import { setTimeout as sleep } from "node:timers/promises";
import { parseIncarnation, replicaName } from "../../src/domain/names.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { incarnationOf, processesOf } from "../support/processes.ts";
import type { Rig } from "../support/rig.ts";

const everyMs = 250;
/** Longer than a SIGKILL takes to be reaped on a busy machine: two generations at once for this long are a violation. */
const doubledMaxMs = 3_000;
/** Longer than noticing and re-pointing take when the worker and Temporal die on the way. */
const strayMemberMaxMs = 45_000;

/** Samples what must hold at every moment. `stop` answers with the violations, each once. */
export function watchInvariants(rig: Rig, spec: JobSpec) {
  const violations = new Set<string>();
  const since = new Map<string, number>();
  let stopping = false;

  /** A state that may pass through, but must not last. */
  function mustNotLast(states: ReadonlyMap<string, number>): void {
    const nowMs = Date.now();
    for (const key of since.keys()) if (!states.has(key)) since.delete(key);
    for (const [key, maxMs] of states) {
      since.set(key, since.get(key) ?? nowMs);
      if (nowMs - (since.get(key) ?? nowMs) > maxMs)
        violations.add(`${key} for ${maxMs / 1_000} s`);
    }
  }

  async function run(): Promise<void> {
    while (!stopping) {
      mustNotLast(new Map([...doubled(spec), ...(await strayMembers(rig, spec))]));
      await sleep(everyMs);
    }
  }

  const running = run();
  return {
    async stop(): Promise<readonly string[]> {
      stopping = true;
      await running;
      return [...violations];
    },
  };
}

/** Replicas of which processes of more than one generation live. */
function doubled(spec: JobSpec): ReadonlyMap<string, number> {
  const generations = new Map<string, Set<number>>();
  for (const pid of processesOf(spec.name)) {
    const parsed = parseIncarnation(incarnationOf(pid) ?? "");
    if (!parsed) continue;
    const name = replicaName(parsed);
    generations.set(name, (generations.get(name) ?? new Set()).add(parsed.generation));
  }
  const found = [...generations].filter(([, seen]) => seen.size > 1);
  return new Map(
    found.map(([name, seen]) => [
      `${name} ran in generations ${[...seen].toSorted((a, b) => a - b).join(" and ")} at once`,
      doubledMaxMs,
    ]),
  );
}

/** Members of the running proxy of which nothing is left in Ray. */
async function strayMembers(rig: Rig, spec: JobSpec): Promise<ReadonlyMap<string, number>> {
  const seen = await rig.agent.call("list", { job: spec.name }).catch(() => undefined);
  if (!seen) return new Map();
  const alive = new Set(seen.replicas.map(({ name }) => name));
  const members = seen.proxies.flatMap(({ membership }) => membership?.members ?? []);
  return new Map(
    members
      .filter(({ name }) => !alive.has(name))
      .map(({ name }) => [
        `the proxy had ${name} as a member although it was gone`,
        strayMemberMaxMs,
      ]),
  );
}
