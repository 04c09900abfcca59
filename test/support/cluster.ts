import type { Action } from "../../src/domain/action.ts";
import { actionKey } from "../../src/domain/action.ts";
import type { InFlightAction } from "../../src/domain/action.ts";
import { emptyMemory } from "../../src/domain/memory.ts";
import type { Desired } from "../../src/domain/memory.ts";
import { incarnationName, proxyName } from "../../src/domain/names.ts";
import type { EngineState, Observed, ObservedReplica } from "../../src/domain/observed.ts";
import type { Plan } from "../../src/domain/plan.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { reconcile } from "../../src/plan/reconcile.ts";
import { rememberStart, rememberSuccess } from "../../src/workflows/remember.ts";
import type { ActionResult } from "../../src/workflows/remember.ts";

/** Turns after which a job that should be quiet is declared to be spinning. */
const turnsMax = 400;

/**
 * A cluster in memory on which actions really take effect, driven by the real policy and the workflow's own memory
 * rules: observe → reconcile → perform → repeat. Tests change `observed` to inject faults.
 */
export function fakeCluster(spec: JobSpec) {
  const state = {
    desired: {
      replicas: { prefill: spec.roles.prefill.replicas, decode: spec.roles.decode.replicas },
    } as Desired,
    memory: emptyMemory(0),
    observed: { session: "s1", placementGroups: [], replicas: [], proxies: [] } as Observed,
    nowMs: 0,
    inFlight: [] as InFlightAction[],
    log: [] as string[],
    plan: undefined as Plan | undefined,
  };

  function turn(): Plan {
    const plan = reconcile({ ...state, spec });
    const served = state.memory.served || plan.view.phase === "READY";
    state.memory = { ...state.memory, lostSinceMs: plan.lostSinceMs, served };
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
    state.memory = rememberSuccess(state.memory, action, resultOf(action), spec.name);
  }

  function apply(action: Action): void {
    const { observed } = state;
    switch (action.kind) {
      case "reservePlacementGroup": {
        const group = {
          name: incarnationName(spec.name, action.replica, action.generation),
          state: "CREATED" as const,
          nodeIps: ["10.0.0.1"],
        };
        state.observed = { ...observed, placementGroups: [...observed.placementGroups, group] };
        return;
      }
      case "startPrefill":
      case "startDecode":
        state.observed = { ...observed, replicas: [...observed.replicas, actorOf(action, spec)] };
        return;
      case "waitHealthy":
        setState(incarnationName(spec.name, action.replica, action.generation), "healthy");
        return;
      case "stopReplica": {
        const name = incarnationName(spec.name, action.replica, action.generation);
        state.observed = {
          ...observed,
          replicas: observed.replicas.filter((actor) => actor.name !== name),
        };
        return;
      }
      case "removePlacementGroup": {
        const name = incarnationName(spec.name, action.replica, action.generation);
        state.observed = {
          ...observed,
          placementGroups: observed.placementGroups.filter((group) => group.name !== name),
        };
        return;
      }
      case "runProxy":
        state.observed = {
          ...observed,
          proxies: [
            {
              name: proxyName(spec.name, action.generation),
              generation: action.generation,
              state: "healthy",
              host: "10.0.0.9",
              port: 8021,
              ...(spec.scheduler.membership === "builtin"
                ? { membership: { generation: 0, members: [] }, inFlight: {} }
                : {}),
            },
          ],
        };
        return;
      case "setMembership":
        state.observed = {
          ...observed,
          proxies: observed.proxies.map((proxy) => ({
            ...proxy,
            membership: { generation: action.generation, members: action.members },
          })),
        };
        return;
      case "stopProxy":
        state.observed = {
          ...observed,
          proxies: observed.proxies.filter(({ generation }) => generation !== action.generation),
        };
        return;
      case "readKvIp":
      case "renderProxy":
      case "drainReplica":
      case "drainProxy":
      case "sweep":
    }
  }

  function setState(name: string, engineState: EngineState): void {
    const change = (actor: ObservedReplica): ObservedReplica =>
      actor.name === name ? { ...actor, state: engineState } : actor;
    state.observed = { ...state.observed, replicas: state.observed.replicas.map(change) };
  }

  return { state, turn, settle, run, apply, setState };
}

/** What the activity of this action hands back. */
export function resultOf(action: Action): ActionResult {
  if (action.kind === "readKvIp") return { kvIp: "10.0.0.1" };
  if (action.kind === "renderProxy") return { builtin: true, argv: [], members: action.members };
  const isStart = action.kind === "startPrefill" || action.kind === "startDecode";
  return isStart ? { host: "10.0.0.1", ports: { http: 1 } } : undefined;
}

function actorOf(
  action:
    | Extract<Action, { kind: "startPrefill" | "startDecode" }>
    | { replica: { role: "prefill" | "decode"; index: number }; generation: number },
  spec: JobSpec,
): ObservedReplica {
  const { replica, generation } = action;
  const port = 20_000 + generation * 100 + replica.index * 2 + (replica.role === "decode" ? 1 : 0);
  return {
    name: incarnationName(spec.name, replica, generation),
    ...replica,
    generation,
    state: "starting",
    startedAtMs: 0,
    endpoint: { host: "10.0.0.1", ports: { http: port } },
  };
}
