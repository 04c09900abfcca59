import { prefixHashOf } from "../selection/affinity.ts";
import { createAttempts } from "./attempt.ts";
import type { RelayHandOver } from "../bytes/body.ts";
import type { Legs } from "./legs.ts";
import { estimateOf } from "../selection/load.ts";
import type { Pool } from "../members/membership.ts";
import type { Outcome, ProxyMetrics } from "../metrics.ts";
import type { FailedAttempt, OpenStream, Task, WholeAnswer } from "./outcome.ts";
import { chooseWay } from "../selection/pair.ts";
import type { Pair } from "../selection/pair.ts";
import { attemptsMax, judge } from "./retry.ts";
import type { Verdict } from "./retry.ts";
import type { WaitEnd, Waiting } from "../admission/waiting.ts";

export interface RelaySetup {
  readonly pool: Pool;
  readonly legs: Legs;
  readonly metrics: ProxyMetrics;
  readonly handOver: RelayHandOver;
  readonly log: (text: string) => void;
}

/** An answer of our own, with the outcome that it counts as. */
export interface Refusal {
  readonly kind: "refused";
  readonly outcome: Outcome;
  readonly status: number;
  readonly type: string;
  readonly message: string;
}

/** `degraded`: a decode engine computed the prompt, because there was no prefill engine to ask. */
export type Result =
  | ((WholeAnswer | OpenStream) & { readonly degraded?: true })
  | Refusal
  | { readonly kind: "gone" };

interface Progress {
  /** Pairs that were asked, and how many of them took the request. */
  asked: number;
  count: number;
  enginesLost: number;
  readonly tried: Set<string>;
  /**
   * Where the connection was refused, since the members were last changed: somebody else is to be waited for, maybe the next
   * generation under the same name.
   */
  readonly refused: Set<string>;
  /** What the last one said, if any was asked. */
  why?: string;
  /** Whom alone the decode may be asked of, once that one has failed with the request. */
  decode?: string;
}

/** An answer or a stream for one request, from the first pair that gives one. */
export function createObtain({ pool, legs, metrics, handOver, log }: RelaySetup, waiting: Waiting) {
  const attempt = createAttempts({ pool, legs, metrics, handOver });
  const { policy, prefixBytes } = pool.selection;

  return async function obtain(task: Task, withPrefill: boolean): Promise<Result> {
    const progress = begin();
    const tokens = estimateOf(task.body);
    const prefixHash =
      policy.prefill === "prefix-affinity" ? prefixHashOf(task.body, prefixBytes) : undefined;
    const wait = waiting.forRequest(task.gone);
    for (;;) {
      const wish = { withPrefill, tokens, prefixHash, random: Math.random };
      const isLastTry = progress.count === attemptsMax - 1;
      const pair = chooseWay(pool, { ...progress, ...wish }, { isLastTry });
      if (!pair || hasRefused(pair, progress)) {
        const end = progress.decode === undefined ? await wait() : "late";
        progress.refused.clear();
        if (end === "ready") continue;
        return end === "gone" ? { kind: "gone" } : noPair(pool, progress, end);
      }
      progress.asked += 1;
      // Engines key KV by the request's id: what an earlier try left behind must not be taken for this one's.
      const requestId =
        progress.asked === 1 ? task.requestId : `${task.requestId}-${progress.asked}`;
      const outcome = await attempt({ ...task, requestId }, pair, tokens);
      if (task.gone.reason) {
        if (outcome.kind === "stream") outcome.leave();
        return { kind: "gone" };
      }
      if (outcome.kind !== "failed") {
        if (!pair.degraded) return outcome;
        metrics.alone("no_prefill");
        return { ...outcome, degraded: true };
      }
      log(`${requestId}: ${outcome.why}`);
      const verdict = learn(progress, outcome, pair);
      if (verdict.kind !== "again") return refusalOf(verdict.kind, outcome);
      metrics.retried();
    }
  };

  function learn(progress: Progress, outcome: FailedAttempt, pair: Pair): Verdict {
    const { member, leg, why } = outcome;
    progress.why = why;
    if (leg.how === "refused") progress.refused.add(member.url);
    else progress.count += 1;
    progress.tried.add(member.name);
    const verdict = judge(outcome.role, leg, progress);
    blame(outcome, pair, verdict);
    if (verdict.kind !== "again") return verdict;
    progress.enginesLost = verdict.enginesLost;
    if (verdict.sameDecode) progress.decode = pair.decode.name;
    return verdict;
  }

  /** A decode engine that failed and lives on could not load the KV, say: that is between it and the prefill. */
  function blame({ member }: FailedAttempt, { prefill, decode }: Pair, verdict: Verdict): void {
    const isDecodesOwn = !(verdict.kind === "again" && verdict.sameDecode);
    if (isDecodesOwn) pool.suspect(member.name);
    else if (prefill) pool.keepApart(prefill.name, decode.name);
  }
}

const begin = (): Progress => ({
  asked: 0,
  count: 0,
  enginesLost: 0,
  tried: new Set(),
  refused: new Set(),
});

/** Then everybody has: who has not comes first. */
const hasRefused = ({ prefill, decode }: Pair, { refused }: Progress): boolean =>
  refused.has(decode.url) || (prefill !== undefined && refused.has(prefill.url));

/** How the wait for a pair ended, for people. */
const unserved = {
  late: "",
  full: " Too many other requests wait for it already.",
  closed: " This proxy waits for nobody any more: ask again.",
} as const satisfies Readonly<Record<Exclude<WaitEnd, "ready" | "gone">, string>>;

const refusals = {
  exhausted: {
    outcome: "failed",
    status: 502,
    type: "BadGatewayError",
    text: "No prefill/decode pair could serve the request; the last attempt",
  },
  late: {
    outcome: "late",
    status: 504,
    type: "GatewayTimeoutError",
    text: "The request took too long and is not tried again",
  },
  withheld: {
    outcome: "withheld",
    status: 502,
    type: "BadGatewayError",
    text: "The request may be what ended an engine, so it is not tried on another",
  },
} as const satisfies Readonly<Record<Exclude<Verdict["kind"], "again">, object>>;

function refusalOf(kind: keyof typeof refusals, { why }: { readonly why: string }): Refusal {
  const { text, ...rest } = refusals[kind];
  return { kind: "refused", ...rest, message: `${text}: ${why}` };
}

function noPair(pool: Pool, { decode, why }: Progress, end: keyof typeof unserved): Refusal {
  if (decode !== undefined) return refusalOf("withheld", { why: `${decode} left` });
  if (why !== undefined) return refusalOf("exhausted", { why });
  return {
    kind: "refused",
    outcome: "no_member",
    status: 503,
    type: "ServiceUnavailableError",
    message: pool.isClosing() ? missingRoles(pool) : `${missingRoles(pool)}${unserved[end]}`,
  };
}

/** What keeps the proxy from serving, for people. */
export function missingRoles(pool: Pool): string {
  if (pool.isClosing()) return "The job is stopping.";
  const counts = { prefill: pool.members("prefill").length, decode: pool.members("decode").length };
  if (counts.prefill > 0 && counts.decode > 0)
    return `No prefill and decode replica of one revision are ready together (${counts.prefill} prefill, ${counts.decode} decode). See pdjob-client status.`;
  const missing = (["prefill", "decode"] as const)
    .filter((role) => counts[role] === 0)
    .join(" and no ");
  return `No ${missing} replica is ready (${counts.prefill} prefill, ${counts.decode} decode). See pdjob-client status.`;
}
