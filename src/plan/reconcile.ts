import { isReplacedProxy } from "../domain/action.ts";
import type { Action } from "../domain/action.ts";
import { isClusterFault } from "../domain/errors.ts";
import type { Failure } from "../domain/errors.ts";
import type { Plan, PlanInput } from "../domain/plan.ts";
import { condemned, lostForMs } from "./condemn.ts";
import { readyByMs } from "../domain/deadline.ts";
import { stepFiles } from "./files.ts";
import { adoptedPairings } from "./pairings.ts";
import { condemnedProxy, stepProxy } from "./proxy.ts";
import { stepUnwanted, stepWanted } from "./replica.ts";
import type { ReplicaStep } from "./replica.ts";
import { isCommandNew, refusedEngine } from "./outdated.ts";
import { giveBackWake, isPausing, isShort, nextReserving, withReserving } from "./reservation.ts";
import { whyRollBack } from "./roll-back.ts";
import { rollOut } from "./rollout.ts";
import { stepTeardown, teardownKinds } from "./teardown.ts";
import { viewOf } from "./view.ts";
import { lookAt } from "./world.ts";
import type { ReplicaWorld, World } from "./world.ts";

/** Each wait of a first deployment has the same deadline, and knows better what it waited for. */
const activitiesSpeakFirstMs = 5_000;
/** After engines were refused for their version, once the job has served. */
const askAgainMs = 60_000;
const askForGpus =
  "Stop or scale down another job, add a node, or increase `timeout` in the config to wait longer.";
const askForTime =
  "Increase `timeout` in the config if it needs longer; else read the log of what is not READY (pdjob-client logs).";

/**
 * The whole policy: what is wanted, what is there, what is being done → what to do next.
 *
 * Level-triggered: progress is re-derived from what is observed, so a crash at any point costs nothing. At most one
 * action per target runs at a time, which is what makes every rule below safe to write as if it were alone.
 */
export function reconcile(input: PlanInput): Plan {
  const lostSinceMs = lostActors(input);
  const pairings = adoptedPairings(input);
  const learned = pairings ? { pairings } : {};
  const seen = {
    ...input,
    desired: { ...input.desired, ...learned },
    memory: { ...input.memory, lostSinceMs },
  };
  const world = rollOut(lookAt(seen), seen);
  const reserving = nextReserving(world, seen);
  const decision = decide(
    { ...world, short: isShort(world, seen) },
    { ...seen, memory: withReserving(seen.memory, reserving) },
  );
  return { ...decision, lostSinceMs, ...learned, ...(reserving ? { reserving } : {}) };
}

type Decision = Omit<Plan, "lostSinceMs" | "pairings" | "reserving">;

function decide(world: World, input: PlanInput): Decision {
  const view = viewOf(world, input);
  if (input.desired.stop) return tearDown(world, input, view);
  const failure = fatalFailure(world, input) ?? lateFailure(view, input);
  if (failure) return { actions: [], cancel: [], view, failure };
  const rollback = whyRollBack(input);
  if (rollback !== undefined) return { actions: [], cancel: [], view, rollback };

  const steps = [
    stepFiles(world, input),
    ...(isProbeDue(input) ? probeStep(world, input) : []),
    ...(isUnprobed(world, input)
      ? []
      : [...replicaSteps(world, input), ...proxySteps(world, input), ...kvIpStep(world, input)]),
  ];
  const wakes = [
    ...steps.flatMap((step) => (step && "wakeAtMs" in step ? [step.wakeAtMs] : [])),
    // What was lost for long enough is condemned already: to look again for its sake would be to look without a pause.
    ...Object.values(input.memory.lostSinceMs)
      .map((sinceMs) => sinceMs + lostForMs)
      .filter((atMs) => atMs > input.nowMs),
    ...giveBackWake(input),
    ...(input.memory.served || view.phase === "READY"
      ? []
      : [readyByMs(input) + activitiesSpeakFirstMs]),
  ];
  return {
    actions: steps.flatMap((step) => (step && "action" in step ? [step.action] : [])),
    cancel: unwantedActions(world, input),
    view,
    ...(wakes.length > 0 ? { wakeAtMs: Math.min(...wakes) } : {}),
  };
}

function tearDown(world: World, input: PlanInput, view: Plan["view"]): Decision {
  const actions = stepTeardown(world, input);
  // The drain of a proxy that was replaced has become a part of the job's own.
  const cancel = input.inFlight
    .filter(({ kind, target }) => !teardownKinds.has(kind) || isDrainOfReplaced(kind, target))
    .map(({ key }) => key);
  const finished = actions.length === 0 && input.inFlight.length === 0 && input.memory.swept;
  return { actions, cancel, view, ...(finished ? { finished: true } : {}) };
}

const isDrainOfReplaced = (kind: Action["kind"], target: string): boolean =>
  kind === "drainProxy" && isReplacedProxy(target);

/** Until the job has served once, an engine or proxy that cannot run ends it: a wrong config should not retry for ever. */
function fatalFailure(world: World, input: PlanInput): Failure | undefined {
  if (input.memory.served) return undefined;
  const verdicts: readonly (Failure | undefined)[] = [
    refusedEngine(input),
    ...world.replicas.filter(isInUse).map((replica) => condemned(replica, input)),
    condemnedProxy(world, input),
    input.memory.failures["job"],
  ];
  const fatal = verdicts.find((verdict) => verdict !== undefined && !isClusterFault(verdict));
  return fatal && { code: fatal.code, message: fatal.message };
}

/**
 * The whole of a first deployment has the job's timeout, however it is spent. One that is READY after all, because nobody
 * could look at it meanwhile, is left alone.
 */
function lateFailure({ phase, reason }: Plan["view"], input: PlanInput): Failure | undefined {
  if (input.memory.served || phase === "READY") return undefined;
  if (input.nowMs < readyByMs(input) + activitiesSpeakFirstMs) return undefined;
  const last = Object.values(input.memory.failures).toSorted((a, b) => b.atMs - a.atMs)[0];
  const isWaiting = phase === "WAITING";
  const because = last ? `: ${last.message}` : `. ${isWaiting ? askForGpus : askForTime}`;
  return {
    code: last?.code ?? (isWaiting ? "PlacementTimeout" : "DeployTimeout"),
    message: `Job ${input.spec.name} was not READY within its timeout of ${input.spec.timeoutS} s (${reason})${because}`,
  };
}

/** Since when each actor that exists has not answered. */
function lostActors({ observed, memory, nowMs }: PlanInput): Plan["lostSinceMs"] {
  const { replicas, followers = [], proxies } = observed;
  const lost = [...replicas, ...followers, ...proxies].filter(({ state }) => state === "lost");
  return Object.fromEntries(lost.map(({ name }) => [name, memory.lostSinceMs[name] ?? nowMs]));
}

/** Before anything is reserved, or done to what was adopted. A job that has begun without it goes on so. */
const isUnprobed = (world: World, input: PlanInput): boolean =>
  input.memory.engine === undefined &&
  (hasNotBegun(input) || (world.busy.has("engine") && !input.desired.rollout));

const hasNotBegun = ({ memory }: PlanInput): boolean =>
  Object.keys(memory.generations).length === 0;

/** A changed config forgets what was told of another command. */
const isProbeDue = (input: PlanInput): boolean =>
  input.memory.engine === undefined && (hasNotBegun(input) || isCommandNew(input));

/** What was refused is asked again: somebody may install another version. */
const probeStep = (world: World, input: PlanInput): readonly ReplicaStep[] => {
  const { spec, memory, nowMs } = input;
  if (world.busy.has("engine")) return [];
  const againMs = refusedEngine(input) ? (memory.failures["engine"]?.atMs ?? 0) + askAgainMs : 0;
  if (againMs > nowMs) return [{ wakeAtMs: againMs }];
  const command = spec.engineCommand[0] ?? "the engine";
  const reason = `what is rendered depends on the version of ${command}`;
  // A port that is taken must not cost the boot of every engine first.
  const isFirst = !memory.served && world.proxy === undefined;
  return [{ action: { kind: "probeEngine", ...(isFirst ? { isProxyNew: true } : {}), reason } }];
};

const replicaSteps = (world: World, input: PlanInput): readonly ReplicaStep[] =>
  world.replicas
    .filter((replica) => !world.busy.has(replica.name))
    .map((replica) =>
      isInUse(replica) ? stepWanted(replica, world, input) : stepUnwanted(replica, world, input),
    );

/** A retired generation goes as an unwanted replica does; its successor is then reserved as a wanted one. */
const isInUse = ({ wanted, retired }: ReplicaWorld): boolean => wanted && !retired;

const proxySteps = (world: World, input: PlanInput): readonly ReplicaStep[] =>
  world.busy.has("proxy") ? [] : [stepProxy(world, input)];

/** Reads prefill 0's address when it is not known, or moved with a new generation. */
function kvIpStep(world: World, { memory, inFlight }: PlanInput): readonly ReplicaStep[] {
  const first = world.replicas.find(
    ({ id, wanted }) => wanted && id.role === "prefill" && id.index === 0,
  );
  const actor = first?.current?.actor;
  if (!first || !actor?.endpoint || memory.kvIp === actor.endpoint.host) return [];
  if (actor.state === "idle" || inFlight.some(({ kind }) => kind === "readKvIp")) return [];
  const reason =
    memory.kvIp === undefined ? "the other replicas need prefill-0's address" : "prefill-0 moved";
  return [
    { action: { kind: "readKvIp", replica: first.id, generation: actor.generation, reason } },
  ];
}

/** Waits for a replica that nobody wants any more, or that is wanted again. What changes things (start, stop) is left to end by itself. */
function unwantedActions(world: World, input: PlanInput): readonly string[] {
  const { inFlight } = input;
  const unwanted = new Set(
    world.replicas.filter((replica) => !isInUse(replica)).map(({ name }) => name),
  );
  // Its end does not wait for that of a request that it cannot answer any more.
  const isDoomed = (target: string): boolean =>
    world.replicas.some(
      (replica) => replica.name === target && condemned(replica, input) !== undefined,
    );
  const known = new Set(world.replicas.map(({ name }) => name));
  const towardsServing: ReadonlySet<Action["kind"]> = new Set<Action["kind"]>([
    "reservePlacementGroup",
    "waitHealthy",
    "sendCanary",
  ]);
  return inFlight
    .filter(
      ({ kind, target }) =>
        (towardsServing.has(kind) && (unwanted.has(target) || !known.has(target))) ||
        (kind === "reservePlacementGroup" && isPausing(input.memory)) ||
        // Wanted again: should it have to leave once more, its requests get their whole time.
        (kind === "drainReplica" && known.has(target) && !unwanted.has(target)) ||
        (kind === "sendCanary" && isDoomed(target)),
    )
    .map(({ key }) => key);
}
