import { replicaName } from "../domain/names.ts";
import type { Member } from "../domain/observed.ts";
import type { PlanInput } from "../domain/plan.ts";
import { roles } from "../domain/role.ts";
import type { Role } from "../domain/role.ts";
import { rolloutOf } from "../domain/spec.ts";
import { eligibleMembers } from "./members.ts";
import { isDue } from "./outdated.ts";
import { isOf } from "./world.ts";
import type { ReplicaWorld, World } from "./world.ts";

/** What a rollout made beyond the wanted ones stays until each wanted one of its role is new and serves. */
export function keepSurge(world: World, input: PlanInput): readonly ReplicaWorld[] {
  const { surge = [] } = input.memory;
  if (surge.length === 0) return world.replicas;
  // Whether the new kind is told of yet depends on them as well.
  const whole = world.replicas.map((one) =>
    surge.includes(one.name) ? { ...one, wanted: true } : one,
  );
  const members = eligibleMembers({ ...world, replicas: whole }, input);
  const extras = roles.flatMap((role) =>
    isUnfinished(role, members, world, input)
      ? world.replicas
          .filter(({ id, name, wanted }) => id.role === role && !wanted && surge.includes(name))
          .slice(0, rolloutOf(input.spec).surge)
      : [],
  );
  return world.replicas.map((replica) =>
    extras.includes(replica) ? { ...replica, wanted: true, surge: true as const } : replica,
  );
}

function isUnfinished(
  role: Role,
  members: readonly Member[],
  { replicas }: World,
  input: PlanInput,
): boolean {
  const own = replicas.filter(({ id, wanted }) => wanted && id.role === role);
  return own.some(
    (replica) =>
      replica.retired || isDue(replica, input) || !members.some((member) => isOf(replica, member)),
  );
}

/** One more replica for each role that is held up because none of these, which serve, can be spared. */
export function addSurge(
  present: readonly ReplicaWorld[],
  heldUp: readonly ReplicaWorld[],
  input: PlanInput,
): readonly ReplicaWorld[] {
  let replicas = present;
  for (const role of roles) {
    if (!heldUp.some(({ id }) => id.role === role) || whyNoRoom(role, replicas, input)) continue;
    const id = { role, index: freeIndex(role, replicas, input.desired.replicas[role]) };
    const extra = { id, name: replicaName(id), wanted: true, retired: false, surge: true } as const;
    replicas = [...replicas, { ...extra, stale: [] }];
  }
  return replicas;
}

/** Why this role may not have one more for a while, and what to raise; undefined when it may. */
export function whyNoRoom(
  role: Role,
  replicas: readonly Pick<ReplicaWorld, "id" | "surge">[],
  { spec }: Pick<PlanInput, "spec">,
): { readonly why: string; readonly raise: "rollout.surge" | "num_gpus" } | undefined {
  const extras = replicas.filter(({ id, surge }) => surge && id.role === role).length;
  const gpus = replicas.reduce((sum, { id }) => sum + spec.roles[id.role].numGpus, 0);
  const { surge } = rolloutOf(spec);
  if (extras >= surge)
    return { why: `rollout.surge ${surge} allows no other beside it`, raise: "rollout.surge" };
  if (gpus + spec.roles[role].numGpus <= spec.numGpus) return undefined;
  const why = `num_gpus ${spec.numGpus} leaves no room for another ${role} beside it`;
  return { why, raise: "num_gpus" };
}

function freeIndex(role: Role, replicas: readonly ReplicaWorld[], from: number): number {
  const taken = new Set(replicas.flatMap(({ id }) => (id.role === role ? [id.index] : [])));
  let index = from;
  while (taken.has(index)) index += 1;
  return index;
}
