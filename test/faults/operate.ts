import { ClientError } from "../../src/client/client-error.ts";
import { roles } from "../../src/domain/role.ts";
import type { Role } from "../../src/domain/role.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { eventually } from "../support/eventually.ts";
import { leftOf, untilPhase } from "../support/rig.ts";
import type { Deed, Target } from "./perform.ts";

/** The worker, or Temporal, was struck a moment ago: somebody who asks is answered by then. */
const answeredWithinMs = 90_000;
const startedWithinMs = 120_000;

export async function scale(
  role: Role,
  replicas: number,
  { wanted, signal }: Target,
): Promise<Deed> {
  wanted[role] = replicas;
  await signal({ role, replicas });
  return { struck: true, text: `${role}=${replicas}` };
}

/** Refused while the server is away: a user would try again, or not. */
export async function restart(what: string, { rig, spec }: Target): Promise<Deed> {
  return rig.client.restart(spec.name, what).then(
    () => ({ struck: true, text: what }),
    (error: Error) => ({ struck: false, text: `${what} refused: ${error.message}` }),
  );
}

/** Another config for one role or both, of which each engine has to be started anew. */
export async function applyChange(pick: number, target: Target): Promise<Deed> {
  const { rig, wanted } = target;
  const changed = [["prefill"], ["decode"], ["prefill", "decode"]][pick % 3] ?? [];
  const spec = withCounts(target.spec, wanted);
  const params = { max_num_seqs: 8 + (pick % 50) };
  const change = (role: Role): JobSpec["roles"][Role] =>
    changed.includes(role)
      ? { ...spec.roles[role], params: { ...spec.roles[role].params, ...params } }
      : spec.roles[role];
  const next = { ...spec, roles: { prefill: change("prefill"), decode: change("decode") } };
  const what = `max_num_seqs=${params.max_num_seqs} for ${changed.join(" and ")}`;
  return changeTo(what, () => rig.client.apply(next), target);
}

/** Of the change before; of one that is made now, and still under way, where there was none. */
export async function undoChange(pick: number, target: Target): Promise<Deed> {
  const { rig, spec } = target;
  const revisions = await rig.client.revisions(spec.name).catch(() => []);
  if (revisions.length === 1) await applyChange(pick, target);
  return changeTo("the revision before", () => rig.client.undo(spec.name, {}), target);
}

/**
 * Refused where there is nothing to go back to. Without an answer it may have been taken all the same, so what is
 * wanted afterwards is what the job says.
 */
async function changeTo(
  what: string,
  send: () => Promise<{ readonly revision: number }>,
  target: Target,
): Promise<Deed> {
  const { rig, spec, wanted } = target;
  const answer = await send().catch((error: unknown) => error as Error);
  if (answer instanceof ClientError && answer.code === "Refused")
    return { struck: false, text: `${what} refused: ${answer.message}` };
  const { desired, revision } = await eventually(
    "the job says what is wanted",
    () => rig.client.status(spec.name),
    answeredWithinMs,
  );
  Object.assign(wanted, desired);
  const newest = (await rig.client.revisions(spec.name)).at(-1);
  if (newest) target.spec = newest.spec;
  return answer instanceof Error
    ? { struck: false, text: `${what}, without an answer: ${answer.message}` }
    : { struck: true, text: `${what}, now revision ${revision}` };
}

/** The same job ends as its user asked, leaves nothing, and starts again with what was wanted. */
export async function stopAndStart(target: Target): Promise<Deed> {
  const { rig, wanted, violations } = target;
  const { name } = target.spec;
  await eventually(
    "the stop is taken",
    async () => {
      await rig.client.stop(name).catch(async (error: unknown) => {
        if (await rig.client.isRunning(name)) throw error;
      });
      return true;
    },
    answeredWithinMs,
  );
  await rig.client.result(name);
  const left = await leftOf(rig, target.spec);
  violations.push(...left.map((what) => `${what} was left between stop and start`));
  target.spec = withCounts(target.spec, wanted);
  await rig.client.start(target.spec);
  await untilPhase(rig.client, name, "READY", startedWithinMs);
  return { struck: true, text: `${roles.map((role) => `${role}=${wanted[role]}`).join(" ")}` };
}

const withCounts = (spec: JobSpec, wanted: Readonly<Record<Role, number>>): JobSpec => ({
  ...spec,
  roles: {
    prefill: { ...spec.roles.prefill, replicas: wanted.prefill },
    decode: { ...spec.roles.decode, replicas: wanted.decode },
  },
});
