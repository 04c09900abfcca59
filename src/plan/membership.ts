import { canTell, isToldLive } from "../domain/membership.ts";
import { parseIncarnation, replicaName } from "../domain/names.ts";
import type { Member, Membership, ObservedProxy } from "../domain/observed.ts";
import type { PlanInput } from "../domain/plan.ts";
import { roles } from "../domain/role.ts";
import type { SchedulerSpec } from "../domain/spec.ts";
import { hasPair, isComplete, namesNoOther } from "./members.ts";
import { isRendered, renderThenRun } from "./proxy-command.ts";
import type { ReplicaStep } from "./replica.ts";
import { sameMembers } from "./world.ts";
import type { World } from "./world.ts";

const retryFirstMs = 1_000;
/** A proxy that refuses its members may be mended from outside at any time. */
const retryMaxMs = 30_000;

/** Brings what a running proxy knows of its members one step nearer to what it should know. */
export function stepMembership(
  proxy: ObservedProxy,
  members: readonly Member[],
  world: World,
  input: PlanInput,
): ReplicaStep {
  const { scheduler } = input.spec;
  if (scheduler.membership === "none") return undefined;
  if (!isToldLive(scheduler)) return redeploy(proxy, members, world, input);
  const known = proxy.membership ?? { generation: 0, members: [] };
  const wanted =
    scheduler.membership === "builtin" ? members : keepRoles(known.members, members, world);
  const next = tellable(known.members, wanted, scheduler);
  // What it can be told would leave it without a pair, and what it cannot would give it another.
  const isLast = !hasPair(next) && hasPair(members) && namesNoOther(members, input.spec);
  if (
    !sameMembers(next, wanted) &&
    (isLast || isWorthRestart(known.members, members, world, input))
  ) {
    return renderThenRun(
      members,
      input,
      `${describeChange(known.members, wanted)}: it has no call for that`,
    );
  }
  return sameMembers(known.members, next) ? undefined : tell(proxy, known, next, input);
}

/** A proxy that knows its members from its command line is restarted when they change. */
function redeploy(
  proxy: ObservedProxy,
  members: readonly Member[],
  world: World,
  input: PlanInput,
): ReplicaStep {
  const { proxyCommand } = input.memory;
  const known = proxyCommand?.generation === proxy.generation && proxyCommand.command.members;
  if (known && sameMembers(known, members)) return undefined;
  if (!isWorthRestart(known || [], members, world, input)) return undefined;
  return renderThenRun(
    members,
    input,
    "the members changed and this proxy learns them from its command line",
  );
}

/**
 * A restart cuts streams. It is done once every replica that comes is there, so that it is done once; and when one of
 * the members is to go, since others may wait for the GPUs that it holds.
 */
function isWorthRestart(
  known: readonly Member[],
  members: readonly Member[],
  world: World,
  input: PlanInput,
): boolean {
  if (isRendered(members, input)) return true;
  if (!hasPair(members) || !namesNoOther(members, input.spec)) return false;
  const isLeft = world.replicas.some(
    ({ current, wanted }) => !wanted && known.some(({ name }) => name === current?.name),
  );
  return isLeft || isComplete(members, world, input);
}

/**
 * Other people's proxies divide by the number of members. When every replica of a role is down, those that are to come
 * back stay until the first of them is there; what leaves for good must leave the proxy all the same.
 */
const keepRoles = (
  known: readonly Member[],
  members: readonly Member[],
  { replicas }: World,
): readonly Member[] => {
  const inUse = new Set(
    replicas.flatMap(({ name, retired, wanted }) => (wanted && !retired ? [name] : [])),
  );
  const isInUse = ({ name }: Member): boolean => {
    const incarnation = parseIncarnation(name);
    return incarnation !== undefined && inUse.has(replicaName(incarnation));
  };
  return roles.flatMap((role) => {
    const wanted = members.filter((member) => member.role === role);
    if (wanted.length > 0) return wanted;
    return known.filter((member) => member.role === role && isInUse(member));
  });
};

/** As far towards `after` as the proxy can be told while it runs. */
function tellable(
  before: readonly Member[],
  after: readonly Member[],
  scheduler: SchedulerSpec,
): readonly Member[] {
  const has = (list: readonly Member[], { name }: Member) => list.some((one) => one.name === name);
  if (canTell(scheduler, "add") && canTell(scheduler, "remove")) return after;
  const kept = canTell(scheduler, "remove") ? before.filter((one) => has(after, one)) : before;
  const added = canTell(scheduler, "add") ? after.filter((one) => !has(before, one)) : [];
  return [...kept, ...added];
}

function tell(
  proxy: ObservedProxy,
  known: Membership,
  members: readonly Member[],
  { memory, nowMs }: PlanInput,
): ReplicaStep {
  if (memory.untold) {
    const { atMs, count } = memory.untold;
    const retryAtMs = atMs + Math.min(retryFirstMs * 2 ** (count - 1), retryMaxMs);
    if (retryAtMs > nowMs) return { wakeAtMs: retryAtMs };
  }
  return {
    action: {
      kind: "setMembership",
      proxyGeneration: proxy.generation,
      generation: Math.max(known.generation, memory.membershipGeneration) + 1,
      members,
      reason: describeChange(known.members, members),
    },
  };
}

function describeChange(before: readonly Member[], after: readonly Member[]): string {
  const names = (list: readonly Member[], other: readonly Member[]) =>
    list.filter(({ name }) => !other.some((one) => one.name === name)).map(({ name }) => name);
  const added = names(after, before);
  const removed = names(before, after);
  const parts = [
    added.length > 0 ? `add ${added.join(", ")}` : "",
    removed.length > 0 ? `remove ${removed.join(", ")}` : "",
  ];
  return parts.filter(Boolean).join("; ") || "addresses changed";
}
