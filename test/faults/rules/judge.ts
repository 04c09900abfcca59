import { parseIncarnation, replicaName } from "../../../src/domain/names.ts";
import type { Observed } from "../../../src/domain/observed.ts";
import { roles } from "../../../src/domain/role.ts";
import type { Role } from "../../../src/domain/role.ts";

// What must hold of a job at every moment, and at rest. Pure: `watch.ts` takes the samples. Requests: `amnesty.ts`.

/** Longer than a SIGKILL takes to be reaped on a busy machine: two engines of a replica for this long are a violation. */
const doubledMaxMs = 3_000;
/** A proxy that was replaced ends its streams first: longer than its drain, and its grace after that. */
const handOverMaxMs = 30_000;
/** Longer than noticing and re-pointing take when the worker and Temporal die on the way. */
const strayMemberMaxMs = 45_000;
/** One that has not served yet is never a member. Only the two looks that a sample is made of may lie so far apart. */
const earlyMemberMaxMs = 3_000;
/** Processes without an actor: their guard ends them, or, when all of it was killed, the actor by their mark. */
const ownerlessMaxMs = 15_000;
/** A group without an actor: reserved before the worker, or Temporal, went away, and used or removed once it is back. */
const unusedGroupMaxMs = 60_000;

/** The first process of a tree of the job, and the incarnation that it belongs to. */
export type Root = readonly [pid: number, incarnation: string];

/** One look at a job. `seen` is what Ray and the actors say; nothing while Ray does not answer. */
export interface Sample {
  readonly atMs: number;
  readonly running: readonly Root[];
  readonly seen?: Observed | undefined;
}

/** States that may pass through, and how long each may last. */
type Passing = ReadonlyMap<string, number>;

/** Judges samples one after the other. `violations` holds each once. */
export function createJudge() {
  const violations = new Set<string>();
  const since = new Map<string, number>();
  return {
    see(sample: Sample): void {
      const states = passingOf(sample);
      for (const key of since.keys()) if (!states.has(key)) since.delete(key);
      for (const [key, maxMs] of states) {
        const fromMs = since.get(key) ?? sample.atMs;
        since.set(key, fromMs);
        if (sample.atMs - fromMs > maxMs) violations.add(`${key} for ${maxMs / 1_000} s`);
      }
    },
    violations: (): readonly string[] => [...violations],
  };
}

const passingOf = ({ running, seen }: Sample): Passing =>
  new Map([
    ...doubled(running),
    ...(seen ? [...strayMembers(seen), ...ownerless(seen, running), ...unused(seen)] : []),
  ]);

/** Replicas that run more than once, in one generation or in several; a proxy may, while it takes over from another. */
function doubled(running: readonly Root[]): Passing {
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

/** Members of a running proxy that are gone, do not serve, or never did. */
function strayMembers({ replicas, proxies }: Observed): Passing {
  const states = new Map(replicas.map(({ name, state }) => [name, state]));
  const members = proxies.flatMap(({ membership }) => membership?.members ?? []);
  return new Map(
    members.flatMap(({ name }): readonly (readonly [string, number])[] => {
      const state = states.get(name);
      if (state === "healthy") return [];
      return state === "starting" || state === "idle"
        ? [[`the proxy had ${name} as a member before it served`, earlyMemberMaxMs]]
        : [[`the proxy had ${name} as a member although it did not serve`, strayMemberMaxMs]];
    }),
  );
}

/** Processes of an incarnation of which Ray has no actor. */
function ownerless(
  { replicas, proxies, followers = [] }: Observed,
  running: readonly Root[],
): Passing {
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

function unused({ placementGroups, replicas }: Observed): Passing {
  const used = new Set(replicas.map(({ name }) => name));
  return new Map(
    placementGroups
      .filter(({ name, state }) => state === "CREATED" && !used.has(name))
      .map(({ name }) => [`placement group ${name} held GPUs for nobody`, unusedGroupMaxMs]),
  );
}

/** What is not as it should be of a job at rest: in Ray, in the proxy, among the processes. */
export function odditiesOf(
  seen: Observed,
  roots: readonly Root[],
  wanted: Readonly<Record<Role, number>>,
): readonly string[] {
  const [proxy, ...moreProxies] = seen.proxies;
  const names = seen.replicas.map(({ name }) => name).toSorted();
  const members = proxy?.membership?.members.map(({ name }) => name).toSorted() ?? [];
  const groups = seen.placementGroups.map(({ name }) => name).toSorted();
  const running = roots.map(([, incarnation]) => incarnation).toSorted();
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

/** Healthy members of the proxy that clients come to, but for these, by role. */
export function servingOf(
  { replicas, proxies }: Observed,
  except: ReadonlySet<string>,
): Readonly<Record<Role, readonly string[]>> {
  // While one takes over from another, the one that clients come to.
  const proxy = proxies.toSorted((a, b) => b.generation - a.generation)[0];
  const members = proxy?.state === "healthy" ? (proxy.membership?.members ?? []) : [];
  const names = new Set(members.map(({ name }) => name));
  const of = (wanted: Role): readonly string[] =>
    replicas
      .filter(({ name, role, state }) => role === wanted && state === "healthy" && names.has(name))
      .map(({ name }) => name)
      .filter((name) => !except.has(name));
  return { prefill: of("prefill"), decode: of("decode") };
}
