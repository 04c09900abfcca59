import type { Cost } from "./schedule.ts";

/*
 * Which requests may fail. Nothing is ever cut short in silence. An explicit error needs a strike that explains that very
 * request: the engine that the error names was struck, the proxy's process that had the request was killed, or nobody
 * was left to serve it. That something was struck at about the same time explains nothing.
 */

/** A struck engine that hangs is still given requests until its probes have failed and the proxy was told; one that serves after that was not harmed. */
export const noticedWithinMs = 30_000;
/** A process dies a moment after its SIGKILL, and accepts until then. */
const deathMs = 500;

/** How one request ended. `error` is explicit: a status, a refused connection or an error event; `silent` is not. */
export interface Outcome {
  readonly startedMs: number;
  readonly endedMs: number;
  readonly kind: "ok" | "error" | "silent";
  /** Of an error, what the client was told. */
  readonly text: string;
  /** Nothing of HTTP came, or its connection broke in the middle. */
  readonly isBroken?: true;
}

/** A step that hit. */
export interface Strike {
  readonly kind: string;
  readonly cost: Cost;
  readonly fromMs: number;
  readonly untilMs: number;
  /** Incarnations of the engines that it hit. */
  readonly engines: readonly string[];
  /** Afterwards no engine of some role was left that served and had not been struck. */
  readonly isRoleLost: boolean;
  /** When a pair that was not struck, and a proxy with both as members, were seen again. */
  readonly servedAgainMs?: number | undefined;
}

/** What is wrong with the ends of these requests, a line for each kind; empty when each is well, or explained. */
export function judgeRequests(
  outcomes: readonly Outcome[],
  strikes: readonly Strike[],
): readonly string[] {
  const kinds = new Map<string, Outcome[]>();
  for (const outcome of outcomes) {
    if (outcome.kind === "ok" || (outcome.kind === "error" && isExplained(outcome, strikes)))
      continue;
    const word = outcome.kind === "silent" ? "cut short in silence" : "failed without a reason";
    const kind = `${word}: ${outcome.text}`;
    kinds.set(kind, [...(kinds.get(kind) ?? []), outcome]);
  }
  return [...kinds].map(([kind, same]) => {
    const from = Math.min(...same.map(({ startedMs }) => startedMs));
    const until = Math.max(...same.map(({ endedMs }) => endedMs));
    return `${same.length} × a request, ${inWords(from)} to ${inWords(until)}, ${kind}`;
  });
}

const inWords = (ms: number): string => new Date(ms).toISOString();

const isExplained = (outcome: Outcome, strikes: readonly Strike[]): boolean =>
  strikes.some((strike) => strike.fromMs <= outcome.endedMs && explains(strike, outcome, strikes));

function explains(strike: Strike, outcome: Outcome, strikes: readonly Strike[]): boolean {
  const { startedMs, text, isBroken = false } = outcome;
  const isBeforeServing = startedMs <= (strike.servedAgainMs ?? Number.POSITIVE_INFINITY);
  if (strike.isRoleLost && isBeforeServing && isNobodyThere(text)) return true;
  switch (strike.cost) {
    case "nothing":
      return false;
    case "engine":
      return isOfEngine(strike, outcome, strikes);
    case "proxy":
      return isBroken && startedMs <= strike.untilMs + deathMs;
    case "stall":
      // It could not drain meanwhile, and may be replaced for it: whatever was in it may have ended.
      return startedMs <= strike.untilMs;
    case "socket":
      // A proxy whose actor is gone is ended by its guard, and says so on connections that are open.
      return (isBroken || text.includes("The proxy is stopping")) && isBeforeServing;
    case "everything":
      return isBeforeServing;
  }
}

/** Of the proxy, which has no pair to ask. */
const isNobodyThere = (text: string): boolean =>
  /No (?:prefill|decode)\b.* (?:is|are) ready/.test(text) || isExhausted(text);

const isExhausted = (text: string): boolean => text.includes("No prefill/decode pair could serve");

/** Its own engine was struck, and it was too late to ask another pair, or there were not enough others. */
function isOfEngine(
  { engines, untilMs, isRoleLost }: Strike,
  { startedMs, endedMs, text }: Outcome,
  strikes: readonly Strike[],
): boolean {
  const isNamed = engines.some((name) => namesOf(text).includes(name));
  if (!isNamed || startedMs > untilMs + noticedWithinMs) return false;
  if (!isExhausted(text)) return true;
  const struckSoFar = strikes
    .filter(
      ({ fromMs, untilMs: doneMs }) => fromMs <= endedMs && startedMs <= doneMs + noticedWithinMs,
    )
    .flatMap((one) => (one.cost === "engine" ? one.engines : []));
  return isRoleLost || new Set(struckSoFar).size > 1;
}

const namesOf = (text: string): readonly string[] =>
  text.match(/[a-z0-9-]+-(?:prefill|decode)-\d+-g\d+/g) ?? [];
