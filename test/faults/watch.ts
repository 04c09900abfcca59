import { setTimeout as sleep } from "node:timers/promises";
import { parseIncarnation, replicaName } from "../../src/domain/names.ts";
import type { Observed } from "../../src/domain/observed.ts";
import { roles } from "../../src/domain/role.ts";
import type { Role } from "../../src/domain/role.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { allProcesses, incarnationOf, processesOf } from "../support/processes.ts";
import type { OwnRig } from "../support/rig.ts";

const everyMs = 250;
/** Longer than a SIGKILL takes to be reaped on a busy machine: two engines of a replica for this long are a violation. */
const doubledMaxMs = 3_000;
/** A proxy that was replaced ends its streams first: longer than its drain, and its grace after that. */
const handOverMaxMs = 30_000;
/** Longer than noticing and re-pointing take when the worker and Temporal die on the way. */
const strayMemberMaxMs = 45_000;
/** Processes without an actor: their guard ends them, or, when all of it was killed, the actor by their mark. */
const ownerlessMaxMs = 15_000;
/** A group without an actor: reserved before the worker, or Temporal, went away, and used or removed once it is back. */
const unusedGroupMaxMs = 60_000;

/** Samples what must hold at every moment. `stop` answers with the violations, each once. */
export function watchInvariants(rig: OwnRig, spec: JobSpec) {
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
      // Nothing is known of what is in Ray while it does not answer.
      const seen = await rig.agent.call("list", { job: spec.name }).catch(() => undefined);
      const running = engineRootsOf(spec.name);
      mustNotLast(
        new Map([
          ...doubled(running),
          ...(seen ? [...strayMembers(seen), ...ownerless(seen, running), ...unused(seen)] : []),
        ]),
      );
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

/** What is not as it should be of a job at rest. */
export async function oddities(
  rig: OwnRig,
  spec: JobSpec,
  wanted: Readonly<Record<Role, number>>,
): Promise<readonly string[]> {
  const seen = await rig.agent.call("list", { job: spec.name });
  const [proxy, ...moreProxies] = seen.proxies;
  const names = seen.replicas.map(({ name }) => name).toSorted();
  const members = proxy?.membership?.members.map(({ name }) => name).toSorted() ?? [];
  const groups = seen.placementGroups.map(({ name }) => name).toSorted();
  const running = engineRootsOf(spec.name)
    .map(([, incarnation]) => incarnation)
    .toSorted();
  const expected = [...names, ...(proxy ? [proxy.name] : [])].toSorted();
  return [
    ...roles.flatMap((role) => {
      const healthy = seen.replicas.filter((one) => one.role === role && one.state === "healthy");
      return healthy.length === wanted[role] ? [] : [`${healthy.length} healthy ${role}`];
    }),
    ...(proxy?.state === "healthy" && moreProxies.length === 0 ? [] : ["not one healthy proxy"]),
    ...differ("members", members, names),
    ...differ("placement groups", groups, names),
    ...differ("engines and proxies", running, expected),
  ];
}

const differ = (what: string, actual: readonly string[], expected: readonly string[]) =>
  actual.join() === expected.join()
    ? []
    : [`${what} are ${actual.join(" ")} instead of ${expected.join(" ")}`];

type Root = readonly [pid: number, incarnation: string];

/** Of each process tree of the job the first process, with the incarnation that it belongs to. */
function engineRootsOf(job: string): readonly Root[] {
  const marked = new Set(processesOf(job));
  return allProcesses()
    .filter(({ pid, parent }) => marked.has(pid) && !marked.has(parent))
    .flatMap(({ pid }): readonly Root[] => {
      const incarnation = incarnationOf(pid);
      return incarnation === undefined ? [] : [[pid, incarnation]];
    });
}

/** Replicas that run more than once, in one generation or in several; a proxy may, while it takes over from another. */
function doubled(running: readonly Root[]): ReadonlyMap<string, number> {
  const perReplica = new Map<string, string[]>();
  for (const [pid, incarnation] of running) {
    const parsed = parseIncarnation(incarnation);
    const names = parsed ? [replicaName(parsed)] : [incarnation, "the proxy"];
    for (const name of names)
      perReplica.set(name, [...(perReplica.get(name) ?? []), `${incarnation} (${pid})`]);
  }
  const found = [...perReplica].filter(([, trees]) => trees.length > 1);
  return new Map(
    found.map(([name, trees]) => [
      `${name} ran more than once: ${trees.toSorted().join(" and ")}`,
      name === "the proxy" ? handOverMaxMs : doubledMaxMs,
    ]),
  );
}

/** Members of the running proxy that are gone, or do not serve. */
function strayMembers({ replicas, proxies }: Observed): ReadonlyMap<string, number> {
  const serving = new Set(
    replicas.filter(({ state }) => state === "healthy").map(({ name }) => name),
  );
  const members = proxies.flatMap(({ membership }) => membership?.members ?? []);
  return new Map(
    members
      .filter(({ name }) => !serving.has(name))
      .map(({ name }) => [
        `the proxy had ${name} as a member although it did not serve`,
        strayMemberMaxMs,
      ]),
  );
}

/** Processes of an incarnation of which Ray has no actor. */
function ownerless(
  { replicas, proxies, followers = [] }: Observed,
  running: readonly Root[],
): ReadonlyMap<string, number> {
  const owners = new Set([...replicas, ...proxies, ...followers].map(({ name }) => name));
  return new Map(
    running
      .filter(([, incarnation]) => !owners.has(incarnation))
      .map(([pid, incarnation]) => [
        `process ${pid} of ${incarnation} ran without an actor`,
        ownerlessMaxMs,
      ]),
  );
}

function unused({ placementGroups, replicas }: Observed): ReadonlyMap<string, number> {
  const used = new Set(replicas.map(({ name }) => name));
  return new Map(
    placementGroups
      .filter(({ name, state }) => state === "CREATED" && !used.has(name))
      .map(({ name }) => [`placement group ${name} held GPUs for nobody`, unusedGroupMaxMs]),
  );
}
