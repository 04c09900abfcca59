import type { Member, Membership } from "../domain/observed.ts";
import type { Role } from "../domain/role.ts";
import { mayPair } from "./pair.ts";

/** The members and what each is doing. All state of the proxy that outlives a request is here. */
export interface Pool {
  current(): Membership;
  /** Takes over a newer membership. `stale` = older than the current one, or of the same number with other members. */
  replace(next: Membership): "accepted" | "stale";
  members(role: Role): readonly Member[];
  /** Is there a prefill with a decode that it may hand KV to? */
  hasPair(): boolean;
  /** Counts a request on a member until the returned function is called, removed members included. */
  enter(name: string): () => void;
  inFlight(): Readonly<Record<string, number>>;
  countOf(name: string): number;
  /** Leaves a member alone for a while after it failed, as long as there are others. */
  suspect(name: string): void;
  isSuspect(name: string): boolean;
}

/** How long a member that failed is passed over. Health is the orchestrator's business; this only bridges its delay. */
const suspectMs = 3_000;

export function createPool(): Pool {
  let membership: Membership = { generation: 0, members: [] };
  const counts = new Map<string, number>();
  const suspects = new Map<string, number>();

  const members = (role: Role): readonly Member[] =>
    membership.members.filter((member) => member.role === role);
  const hasPair = (): boolean =>
    members("prefill").some((one) => members("decode").some((other) => mayPair(one, other)));

  return {
    current: () => membership,
    replace(next) {
      const same = JSON.stringify(next.members) === JSON.stringify(membership.members);
      if (
        next.generation < membership.generation ||
        (next.generation === membership.generation && !same)
      )
        return "stale";
      membership = next;
      return "accepted";
    },
    members,
    hasPair,
    enter(name) {
      counts.set(name, (counts.get(name) ?? 0) + 1);
      let left = false;
      return () => {
        if (left) return;
        left = true;
        const count = (counts.get(name) ?? 1) - 1;
        if (count > 0) counts.set(name, count);
        else counts.delete(name);
      };
    },
    inFlight: () => Object.fromEntries(counts),
    countOf: (name) => counts.get(name) ?? 0,
    suspect: (name) => void suspects.set(name, Date.now() + suspectMs),
    isSuspect(name) {
      const untilMs = suspects.get(name) ?? 0;
      if (untilMs <= Date.now()) suspects.delete(name);
      return untilMs > Date.now();
    },
  };
}
