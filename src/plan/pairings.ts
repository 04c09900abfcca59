import type { Member, ObservedReplica } from "../domain/observed.ts";
import type { PlanInput } from "../domain/plan.ts";
import { mayPair } from "../domain/revision.ts";
import type { Pairing } from "../domain/revision.ts";
import { roles } from "../domain/role.ts";
import type { Role } from "../domain/role.ts";

/**
 * Which engines were ever meant to hand KV to each other, where the workflow does not know: it has had one config, and finds
 * engines of another that an earlier workflow of the same name has left. Those are partners of one another unless the proxy
 * that runs was told otherwise, and of the job's own kind where one role alone differs. Undefined when nothing differs.
 *
 * To be remembered: once the engines of one role are replaced nobody could tell any more.
 */
export function adoptedPairings({
  spec,
  desired,
  observed,
}: PlanInput): readonly Pairing[] | undefined {
  const own = { prefill: spec.roles.prefill.kvRevision, decode: spec.roles.decode.kvRevision };
  if (desired.pairings || own.prefill === undefined || own.decode === undefined) return undefined;
  const kindsOf = (role: Role): readonly string[] => [
    ...new Set(observed.replicas.flatMap((one) => (one.role === role ? kindOf(one) : []))),
  ];
  const kinds = { prefill: kindsOf("prefill"), decode: kindsOf("decode") };
  if (roles.every((role) => kinds[role].every((kind) => kind === own[role]))) return undefined;
  const others = (role: Role) => {
    const differing = kinds[role].filter((kind) => kind !== own[role]);
    return differing.length > 0 ? differing : kinds[role];
  };
  const pairs = others("prefill")
    .flatMap((prefill) => others("decode").map((decode) => ({ prefill, decode })))
    .filter((pair) => pair.prefill !== own.prefill || pair.decode !== own.decode)
    .filter((pair) => wereTogether(pair, observed));
  return [...pairs, { prefill: own.prefill, decode: own.decode }].map((pair, at) => ({
    number: at + 1,
    ...pair,
  }));
}

const kindOf = ({ kvRevision }: ObservedReplica): readonly string[] =>
  kvRevision === undefined ? [] : [kvRevision];

/** Not if the proxy was told of engines of both kinds, and that none of them may be paired. */
function wereTogether(
  pair: Omit<Pairing, "number">,
  { replicas, proxies }: PlanInput["observed"],
): boolean {
  const told = proxies.flatMap(({ membership }) => membership?.members ?? []);
  const membersOf = (role: Role): readonly Member[] =>
    told.filter(({ name }) =>
      replicas.some(
        (one) => one.name === name && one.role === role && one.kvRevision === pair[role],
      ),
    );
  const [prefills, decodes] = [membersOf("prefill"), membersOf("decode")];
  if (prefills.length === 0 || decodes.length === 0) return true;
  return prefills.some((one) => decodes.some((other) => mayPair(one, other)));
}
