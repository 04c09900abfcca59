import type { Action } from "../../src/domain/action.ts";
import { actionKey } from "../../src/domain/action.ts";
import type { ActionOf, InFlightAction } from "../../src/domain/action.ts";
import { isToldLive, membersAtStart } from "../../src/domain/membership.ts";
import { emptyMemory } from "../../src/domain/memory.ts";
import type { Desired } from "../../src/domain/memory.ts";
import { incarnationName, proxyName, rankName } from "../../src/domain/names.ts";
import type {
  EngineState,
  Observed,
  ObservedFollower,
  ObservedNode,
  ObservedProxy,
  ObservedReplica,
} from "../../src/domain/observed.ts";
import type { Plan } from "../../src/domain/plan.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { reconcile } from "../../src/plan/reconcile.ts";
import { rememberSeen, rememberStart, rememberSuccess } from "../../src/workflows/remember.ts";
import type { ActionResult } from "../../src/workflows/remember.ts";

/** Turns after which a job that should be quiet is declared to be spinning. */
const turnsMax = 400;

/**
 * A cluster in memory on which actions really take effect, driven by the real policy and the workflow's own memory
 * rules: observe → reconcile → perform → repeat. Tests change `observed` to inject faults.
 */
export function fakeCluster(spec: JobSpec, nodes?: readonly ObservedNode[]) {
  const state = {
    /** Of the newest revision. */
    spec,
    desired: {
      replicas: { prefill: spec.roles.prefill.replicas, decode: spec.roles.decode.replicas },
    } as Desired,
    memory: emptyMemory(0),
    observed: emptyCluster("s1", nodes),
    nowMs: 0,
    inFlight: [] as InFlightAction[],
    log: [] as string[],
    /** Every rank of which processes were started. */
    starts: [] as string[],
    plan: undefined as Plan | undefined,
  };

  function turn(): Plan {
    const plan = reconcile(state);
    const served = state.memory.served || plan.view.phase === "READY";
    const settled =
      plan.view.phase === "READY" ? { settledRevision: state.desired.rollout?.revision ?? 1 } : {};
    const { reserving: _, ...memory } = rememberSeen(state.memory, plan.view);
    state.memory = {
      ...memory,
      ...(plan.reserving ? { reserving: plan.reserving } : {}),
      lostSinceMs: plan.lostSinceMs,
      served,
      ...settled,
    };
    if (plan.pairings) state.desired = { ...state.desired, pairings: plan.pairings };
    state.plan = plan;
    return plan;
  }

  /** Runs turns until nothing is left to do; waits of the plan, up to a limit, pass at once. Answers with the last plan. */
  function settle(waitMaxMs = Number.POSITIVE_INFINITY): Plan {
    for (let count = 0; count < turnsMax; count++) {
      const plan = turn();
      if (plan.failure || plan.finished) return plan;
      if (plan.actions.length === 0 && plan.wakeAtMs === undefined) return plan;
      if (plan.actions.length === 0 && (plan.wakeAtMs ?? 0) - state.nowMs > waitMaxMs) return plan;
      if (plan.actions.length === 0) state.nowMs = Math.max(state.nowMs + 1, plan.wakeAtMs ?? 0);
      for (const action of plan.actions) run(action);
    }
    throw new Error(`still busy after ${turnsMax} turns: ${state.log.slice(-12).join(" | ")}`);
  }

  function run(action: Action): void {
    state.log.push(actionKey(action));
    state.memory = rememberStart(state.memory, action, state.nowMs);
    apply(action);
    const success = {
      result: resultOf(action, state.spec.scheduler.command === undefined),
      job: state.spec.name,
      nowMs: state.nowMs,
    };
    state.memory = rememberSuccess(state.memory, action, success);
  }

  function apply(action: Action): void {
    const { observed } = state;
    switch (action.kind) {
      case "reservePlacementGroup": {
        const group = {
          name: incarnationName(state.spec.name, action.replica, action.generation),
          state: "CREATED" as const,
          nodeIps: action.bundles.map((_, rank) => `10.0.0.${rank + 1}`),
          bundles: action.bundles,
        };
        state.observed = { ...observed, placementGroups: [...observed.placementGroups, group] };
        return;
      }
      case "startPrefill":
      case "startDecode":
        startRanks(action, action.bundles?.length ?? 1);
        return;
      case "waitHealthy":
        setState(incarnationName(state.spec.name, action.replica, action.generation), "healthy");
        return;
      case "stopReplica": {
        const name = incarnationName(state.spec.name, action.replica, action.generation);
        state.observed = {
          ...observed,
          replicas: observed.replicas.filter((actor) => actor.name !== name),
          followers: (observed.followers ?? []).filter((one) => !one.name.startsWith(`${name}-r`)),
        };
        return;
      }
      case "removePlacementGroup": {
        const name = incarnationName(state.spec.name, action.replica, action.generation);
        state.observed = {
          ...observed,
          placementGroups: observed.placementGroups.filter((group) => group.name !== name),
        };
        return;
      }
      case "runProxy": {
        // A built-in proxy that is there hands over, and is stopped by an action of its own.
        const others = observed.proxies.filter(
          ({ generation }) => generation !== action.generation,
        );
        const isBuiltin = state.spec.scheduler.membership === "builtin";
        state.observed = {
          ...observed,
          proxies: [...(isBuiltin ? others : []), proxyOf(action, state.spec)],
        };
        return;
      }
      case "setMembership":
        state.observed = {
          ...observed,
          proxies: observed.proxies.map((proxy) =>
            proxy.generation === action.proxyGeneration
              ? {
                  ...proxy,
                  membership: { generation: action.generation, members: action.members },
                }
              : proxy,
          ),
        };
        return;
      case "stopProxy":
        state.observed = {
          ...observed,
          proxies: observed.proxies.filter(({ generation }) => generation !== action.generation),
        };
        return;
      case "uploadFiles":
      case "probeEngine":
      case "readKvIp":
      case "sendCanary":
      case "renderProxy":
      case "drainReplica":
      case "drainProxy":
      case "sweep":
    }
  }

  /**
   * Starts this many ranks of a replica, in the activity's order: followers first, rank 0 last. Fewer than all is what a
   * worker leaves that was killed meanwhile; ranks that run already are found and left alone.
   */
  function startRanks(action: StartAction, count: number): void {
    const { observed } = state;
    const ranks = (action.bundles ?? [{}]).map((_, rank) => rank).toReversed();
    const started = new Set(ranks.slice(0, count));
    const { replica, generation } = action;
    const nameOf = (rank: number): string => rankName(state.spec.name, replica, generation, rank);
    const isKnown = (name: string): boolean =>
      [...observed.replicas, ...(observed.followers ?? [])].some(
        (one) => one.name === name && one.state !== "idle",
      );
    const fresh = ranks.filter((rank) => !isKnown(nameOf(rank)));
    const names = new Set(fresh.map(nameOf));
    const rank0 = {
      ...actorOf(action, state.spec),
      state: started.has(0) ? "starting" : "idle",
    } as const;
    const followers = fresh
      .filter((rank) => rank > 0)
      .map((rank): ObservedFollower => {
        const engine = started.has(rank) ? "healthy" : "idle";
        return { name: nameOf(rank), ...replica, generation, rank, state: engine };
      });
    const others = <T extends { readonly name: string }>(list: readonly T[]): readonly T[] =>
      list.filter(({ name }) => !names.has(name));
    state.observed = {
      ...observed,
      replicas: [...others(observed.replicas), ...(fresh.includes(0) ? [rank0] : [])],
      followers: [...others(observed.followers ?? []), ...followers],
    };
    for (const rank of fresh) if (started.has(rank)) state.starts.push(nameOf(rank));
  }

  function setState(name: string, engineState: EngineState): void {
    const change = <T extends ObservedReplica>(actor: T): T =>
      actor.name === name ? { ...actor, state: engineState } : actor;
    const { replicas, followers = [] } = state.observed;
    state.observed = {
      ...state.observed,
      replicas: replicas.map(change),
      followers: followers.map(change),
    };
  }

  return { spec, state, turn, settle, run, apply, setState, startRanks };
}

/** What the activity of this action hands back. */
export function resultOf(action: Action, builtin = true): ActionResult {
  if (action.kind === "probeEngine") return { version: "0.32.0", notes: [] };
  if (action.kind === "sendCanary") return { notes: [] };
  if (action.kind === "readKvIp") return { kvIp: "10.0.0.1" };
  if (action.kind === "renderProxy") return { builtin, argv: [], members: action.members };
  if (action.kind === "uploadFiles")
    return { package: "gcs://_ray_pkg_1.zip", text: "uploaded 1 file" };
  const isStart = action.kind === "startPrefill" || action.kind === "startDecode";
  return isStart ? { host: "10.0.0.1", ports: { http: 1 } } : undefined;
}

export const emptyCluster = (session: string, nodes?: readonly ObservedNode[]): Observed => ({
  session,
  placementGroups: [],
  replicas: [],
  proxies: [],
  ...(nodes ? { nodes } : {}),
});

type StartAction = Extract<Action, { kind: "startPrefill" | "startDecode" }>;

function actorOf({ replica, generation }: StartAction, spec: JobSpec): ObservedReplica {
  const { revision, kvRevision } = spec.roles[replica.role];
  const port = 20_000 + generation * 100 + replica.index * 2 + (replica.role === "decode" ? 1 : 0);
  return {
    name: incarnationName(spec.name, replica, generation),
    ...replica,
    generation,
    state: "starting",
    startedAtMs: 0,
    endpoint: { host: "10.0.0.1", ports: { http: port } },
    ...(revision === undefined ? {} : { revision }),
    ...(kvRevision === undefined ? {} : { kvRevision }),
  };
}

const proxyOf = (
  { generation, command, membershipGeneration = 0, run }: ActionOf<"runProxy">,
  { name, scheduler }: JobSpec,
): ObservedProxy => ({
  name: proxyName(name, generation),
  generation,
  state: "healthy",
  host: "10.0.0.9",
  port: 8021,
  ...(run === undefined ? {} : { run }),
  ...(isToldLive(scheduler)
    ? {
        membership: {
          generation: membershipGeneration,
          members: membersAtStart(scheduler, command.members),
        },
      }
    : {}),
  ...(scheduler.membership === "builtin" ? { inFlight: {} } : {}),
});
