import type { Action, ActionOf, ProxyCommand } from "../domain/action.ts";
import { actionKey, targetOf } from "../domain/action.ts";
import { countsOf } from "../domain/apply.ts";
import { isToldLive, membersAtStart } from "../domain/membership.ts";
import { emptyMemory } from "../domain/memory.ts";
import type { Memory } from "../domain/memory.ts";
import { incarnationName, proxyName, rankName, replicaName } from "../domain/names.ts";
import type {
  Member,
  Observed,
  ObservedFollower,
  ObservedNode,
  ObservedReplica,
} from "../domain/observed.ts";
import type { ReplicaId } from "../domain/role.ts";
import type { JobSpec } from "../domain/spec.ts";
import { reconcile } from "./reconcile.ts";

/** Far above what 512 replicas need; a policy that never settles must not hang `plan`. */
const turnsMax = 10_000;

/**
 * The steps of a first deployment, in order: the real policy, driven against a cluster on which every action succeeds
 * at once. So what `plan` shows is what `start` does, and not a second description of it. Without `nodes` every replica
 * is taken to fit on one.
 */
export function rehearse(spec: JobSpec, nodes?: readonly ObservedNode[]): readonly Action[] {
  let memory = emptyMemory(0);
  let observed: Observed = {
    session: "rehearsal",
    placementGroups: [],
    replicas: [],
    proxies: [],
    ...(nodes ? { nodes } : {}),
  };
  const steps: Action[] = [];
  const desired = {
    replicas: countsOf(spec),
  };
  for (let turn = 0; turn < turnsMax; turn++) {
    const plan = reconcile({ spec, desired, memory, observed, inFlight: [], nowMs: 0 });
    if (plan.actions.length === 0) return steps;
    const done = new Set<string>();
    for (const action of plan.actions) {
      if (done.has(targetOf(action))) continue;
      done.add(targetOf(action));
      steps.push(action);
      ({ memory, observed } = succeed(action, spec, memory, observed));
    }
  }
  const last = steps.at(-1);
  throw new Error(
    `The plan of ${spec.name} did not settle: last step ${last ? actionKey(last) : "none"}`,
  );
}

interface Stage {
  readonly memory: Memory;
  readonly observed: Observed;
}

/** What the world looks like after an action that succeeded. Teardown never occurs in a first deployment. */
function succeed(action: Action, spec: JobSpec, memory: Memory, observed: Observed): Stage {
  const remembered = { ...memory, generations: generationsAfter(action, memory) };
  switch (action.kind) {
    case "uploadFiles":
      return { memory: { ...remembered, package: "<package>" }, observed };
    case "probeEngine":
      return { memory: { ...remembered, engine: { notes: [] } }, observed };
    case "reservePlacementGroup": {
      const name = incarnationName(spec.name, action.replica, action.generation);
      const { bundles } = action;
      const nodeIps = bundles.map((_, rank) => hostOf(action.replica, rank));
      const group = { name, state: "CREATED" as const, nodeIps, bundles };
      return {
        memory: remembered,
        observed: { ...observed, placementGroups: [...observed.placementGroups, group] },
      };
    }
    case "startPrefill":
    case "startDecode":
      return {
        memory: remembered,
        observed: withFollowers(withActor(observed, startedActor(action, spec)), action, spec),
      };
    case "waitHealthy":
      return { memory: remembered, observed: withHealthy(observed, action, spec) };
    case "sendCanary":
      return { memory: proven(remembered, action), observed };
    case "readKvIp":
      return { memory: { ...remembered, kvIp: hostOf(action.replica) }, observed };
    case "renderProxy":
      return {
        memory: {
          ...remembered,
          proxyCommand: { generation: action.generation, command: rendered(spec, action.members) },
        },
        observed,
      };
    case "runProxy":
      return {
        memory: remembered,
        observed: { ...observed, proxies: [startedProxy(action, spec)] },
      };
    case "setMembership": {
      const membership = { generation: action.generation, members: action.members };
      return {
        memory: remembered,
        observed: {
          ...observed,
          proxies: observed.proxies.map((proxy) => ({ ...proxy, membership })),
        },
      };
    }
    case "drainReplica":
    case "stopReplica":
    case "removePlacementGroup":
    case "drainProxy":
    case "stopProxy":
    case "sweep":
      return { memory: remembered, observed };
  }
}

function proven(memory: Memory, action: ActionOf<"sendCanary">): Memory {
  const pair = [action, action.partner].map(
    ({ replica, generation }) => [replicaName(replica), generation] as const,
  );
  return { ...memory, proven: { ...memory.proven, ...Object.fromEntries(pair) } };
}

function generationsAfter(action: Action, { generations }: Memory): Memory["generations"] {
  const generation =
    "generation" in action && action.kind !== "setMembership" ? action.generation : undefined;
  return generation === undefined
    ? generations
    : { ...generations, [targetOf(action)]: generation };
}

const withActor = (observed: Observed, actor: ObservedReplica): Observed => ({
  ...observed,
  replicas: [...observed.replicas.filter(({ name }) => name !== actor.name), actor],
});

function withHealthy(
  observed: Observed,
  { replica, generation }: ActionOf<"waitHealthy">,
  spec: JobSpec,
): Observed {
  const name = incarnationName(spec.name, replica, generation);
  const actor = observed.replicas.find((one) => one.name === name);
  return actor ? withActor(observed, { ...actor, state: "healthy" }) : observed;
}

type Start = Extract<Action, { kind: "startPrefill" | "startDecode" }>;

function withFollowers(
  observed: Observed,
  { replica, generation, bundles = [] }: Start,
  spec: JobSpec,
): Observed {
  const followers = bundles.slice(1).map((_, index): ObservedFollower => {
    const name = rankName(spec.name, replica, generation, index + 1);
    return { name, ...replica, generation, rank: index + 1, state: "healthy" };
  });
  return { ...observed, followers: [...(observed.followers ?? []), ...followers] };
}

const hostOf = (replica: ReplicaId, rank = 0): string =>
  `<${replicaName(replica)}${rank === 0 ? "" : `-r${rank}`}.host>`;

function startedActor({ replica, generation }: Start, spec: JobSpec): ObservedReplica {
  const name = incarnationName(spec.name, replica, generation);
  const endpoint = { host: hostOf(replica), ports: {} };
  return { name, ...replica, generation, state: "starting", startedAtMs: 0, endpoint };
}

const startedProxy = (
  { generation, command, membershipGeneration = 0 }: ActionOf<"runProxy">,
  { name, scheduler }: JobSpec,
) => ({
  name: proxyName(name, generation),
  generation,
  state: "healthy" as const,
  host: "<head>",
  port: scheduler.port,
  ...(isToldLive(scheduler)
    ? {
        membership: {
          generation: membershipGeneration,
          members: membersAtStart(scheduler, command.members),
        },
      }
    : {}),
});

const rendered = (spec: JobSpec, members: readonly Member[]): ProxyCommand => ({
  builtin: spec.scheduler.membership === "builtin",
  argv: [],
  members,
});
