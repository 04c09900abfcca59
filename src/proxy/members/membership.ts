import type { Member, Membership } from "../../domain/observed.ts";
import type { Role } from "../../domain/role.ts";
import { createAccounts } from "./accounts.ts";
import type { Accounts } from "./accounts.ts";
import { createDoubts } from "./doubts.ts";
import type { Doubts } from "./doubts.ts";
import { mayPair } from "../selection/pair.ts";
import { defaultSelection } from "../selection/selection.ts";
import type { Selection } from "../selection/selection.ts";
import { weightAt } from "./standing.ts";

/** The members, what each is doing, and what speaks against it. All state of the proxy that outlives a request is here. */
export interface Pool extends Accounts, Omit<Doubts, "keep"> {
  readonly selection: Selection;
  current(): Membership;
  /** Takes over a newer membership. `stale` = older than the current one, or of the same number with other members. */
  replace(next: Membership): "accepted" | "stale";
  /** Calls back after each change of the members. */
  onChange(listener: () => void): void;
  members(role: Role): readonly Member[];
  /** The job stops: no member comes any more. */
  isClosing(): boolean;
  /** Is there a prefill with a decode that it may hand KV to? */
  hasPair(): boolean;
  /** Without such a pair decode engines may compute prompts themselves, if that is the policy and there are any. */
  isDegraded(): boolean;
  /** Its share of the load: less than 1 while it is new. */
  weightOf(name: string): number;
}

export interface PoolSetup {
  readonly selection?: Selection;
  readonly nowMs?: () => number;
}

export function createPool({
  selection = defaultSelection,
  nowMs = () => performance.now(),
}: PoolSetup = {}): Pool {
  let membership: Membership = { generation: 0, members: [] };
  /** By name. Those of the first membership have served before, behind another proxy, or all begin together. */
  const joinedMs = new Map<string, number>();
  const accounts = createAccounts(nowMs);
  const listeners: (() => void)[] = [];
  const doubts = createDoubts({ selection, nowMs, progress: accounts.progress });

  const members = (role: Role): readonly Member[] =>
    membership.members.filter((member) => member.role === role);

  function replace(next: Membership): "accepted" | "stale" {
    const same =
      JSON.stringify(next.members) === JSON.stringify(membership.members) &&
      next.closing === membership.closing;
    if (
      next.generation < membership.generation ||
      (next.generation === membership.generation && !same)
    )
      return "stale";
    const joinMs = membership.generation === 0 ? -Infinity : nowMs();
    membership = next;
    const names = new Set(next.members.map(({ name }) => name));
    for (const name of names) if (!joinedMs.has(name)) joinedMs.set(name, joinMs);
    for (const name of joinedMs.keys()) if (!names.has(name)) joinedMs.delete(name);
    accounts.keep(names);
    doubts.keep(names);
    if (!same) for (const listener of listeners) listener();
    return "accepted";
  }

  const hasPair = (): boolean =>
    members("prefill").some((one) => members("decode").some((other) => mayPair(one, other)));

  function weightOf(name: string): number {
    const joinMs = joinedMs.get(name) ?? -Infinity;
    return joinMs === -Infinity ? 1 : weightAt(nowMs() - joinMs, selection.rampMs);
  }

  return {
    ...accounts,
    ...doubts,
    selection,
    current: () => membership,
    replace,
    onChange: (listener) => void listeners.push(listener),
    members,
    isClosing: () => membership.closing === true,
    hasPair,
    isDegraded: () =>
      selection.withoutPrefill === "decode-local" && members("decode").length > 0 && !hasPair(),
    weightOf,
  };
}
