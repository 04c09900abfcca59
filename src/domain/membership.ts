import type { Member } from "./observed.ts";
import { placeholdersIn } from "./proxy-placeholders.ts";
import { roles } from "./role.ts";
import type { ProxyMembership, SchedulerSpec } from "./spec.ts";

/** One HTTP request as it is sent. A `url` that starts with `/` is a path on the proxy's own port. */
export interface HttpCall {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON text. */
  readonly body?: string;
}

/** What is sent for one member; `accept` are statuses besides 2xx that mean that it is done. */
export interface MemberCalls {
  /** The member's name. */
  readonly name: string;
  readonly add?: HttpCall & { readonly accept: readonly number[] };
  readonly remove?: HttpCall & { readonly accept: readonly number[] };
}

/** How an external proxy is told of a membership, rendered: the calls of each member, or the file's whole text. */
export type Telling =
  | { readonly kind: "http"; readonly calls: readonly MemberCalls[]; readonly list?: HttpCall }
  | { readonly kind: "file"; readonly path: string; readonly text: string };

/** A way for the proxy to learn of its members, and what is lost with it. Printed by `plan` and in docs/proxies.md. */
export interface MembershipAdapter {
  readonly proxies: string;
  readonly told: string;
  readonly acknowledged: string;
  /** What is waited for before a replica that leaves is stopped. */
  readonly drained: string;
  readonly loses: readonly string[];
}

/** `drain.quiet` unless given: longer than most proxies take to read a file, and than most prefills. */
export const drainQuietS = 15;

const byEngine =
  "the engine's own count of requests, until it has been 0 for `drain.quiet` seconds, at most `drain.prefill` or `drain.decode` seconds";
const unseenAssignment =
  "a request that the proxy has assigned and not yet sent is not seen, so a prefill that takes longer than `drain.quiet` can lose its decode";
const betweenLegs =
  "at an update whose engines must not hand KV to those before, a request that is between its two legs when the proxy is told may get a decode of the other kind, and fails";
const stopsBySignal =
  "when the job stops, requests have `stop_grace` seconds, if the proxy finishes them after SIGTERM";

export const membershipAdapters: Readonly<Record<ProxyMembership, MembershipAdapter>> = {
  builtin: {
    proxies: "the built-in one",
    told: "live, over a socket of its own",
    acknowledged: "yes, by number",
    drained: "the proxy's own count of requests, at most `drain.prefill` or `drain.decode` seconds",
    loses: [],
  },
  restart: {
    proxies: "any whose command line names its members: toy_proxy_server.py, vllm-router",
    told: "by stopping it and starting it with another command line",
    acknowledged: "yes: its port answers again",
    drained: "nothing: no request is left once the old proxy is gone",
    loses: [
      "every request in flight, of all replicas, unless the proxy finishes it within `stop_grace` seconds of SIGTERM",
      "clients find the port closed until the new proxy answers",
      "a replica that died, or is restarted on request, stays among the members until its successor is healthy; new ones wait for one another",
      stopsBySignal,
    ],
  },
  http: {
    proxies: "those with an admin API: vllm-ascend's load balancer; vllm-router for removals",
    told: "live, by a request for each member that came or went; by a restart where there is no such request",
    acknowledged: "by the status of the answer, and by `http.list` if given",
    drained: byEngine,
    loses: [
      unseenAssignment,
      "the last member of a role stays until another one is healthy, since proxies fail on an empty list",
      "when all members change at once, as at an update whose engines must not hand KV to those before, the old ones are removed before the new ones are added: requests that come within these few milliseconds find an empty list",
      betweenLegs,
      stopsBySignal,
    ],
  },
  file: {
    proxies: "those that watch a file",
    told: "live, by replacing the file as a whole",
    acknowledged: "no: nobody says when the proxy has read it",
    drained: byEngine,
    loses: [
      "until the proxy reads the file again it uses members that are gone: `drain.quiet` must be longer than that",
      unseenAssignment,
      "the last member of a role stays until another one is healthy, since proxies fail on an empty list",
      betweenLegs,
      stopsBySignal,
    ],
  },
  none: {
    proxies: "those that find engines by themselves: engines that register, a service in front",
    told: "not at all",
    acknowledged: "no",
    drained: byEngine,
    loses: [
      "new requests may come to a replica that is to go, until it is gone",
      "READY does not mean that the proxy knows its members",
      unseenAssignment,
      stopsBySignal,
    ],
  },
};

/** Those of the members whose address stands on the proxy's command line. */
export function namedMembers(
  command: readonly string[],
  members: readonly Member[],
): readonly Member[] {
  const named = placeholdersIn(command).filter(({ part }) => part !== "COUNT");
  return roles.flatMap((role) =>
    members
      .filter((member) => member.role === role)
      .filter((_, at) =>
        named.some(({ of, ...one }) => one.role === role && (typeof of === "string" || of === at)),
      ),
  );
}

/**
 * What a proxy that was just started with these members knows of them. The built-in one all, before it lets clients in;
 * others all by their file, or by a command line that is the only way to tell them, or else those whom the command line names.
 */
export function membersAtStart(
  { membership, command = [], http }: SchedulerSpec,
  members: readonly Member[],
): readonly Member[] {
  return membership === "http" && http?.add ? namedMembers(command, members) : members;
}

/** Proxies whose members change while they run, and which report to the planner what they were told. */
export const isToldLive = ({ membership }: SchedulerSpec): boolean =>
  membership === "builtin" || membership === "http" || membership === "file";

/** Does a running proxy stop sending requests to a replica when it is told to? */
export const forgetsLive = (scheduler: SchedulerSpec): boolean =>
  isToldLive(scheduler) && canTell(scheduler, "remove");

/** Is there a way to tell a running proxy of such a change? Otherwise it has to be started anew. */
export const canTell = ({ http }: SchedulerSpec, change: "add" | "remove"): boolean =>
  http === undefined || http[change] !== undefined;
