import type { Selection } from "../selection/selection.ts";
import { apartMs, judgeSilence, partnersFailedMax, suspectMs } from "./standing.ts";
import type { Progress } from "./standing.ts";

/** Why somebody is passed over: it failed, it is silent, or the two of a pair failed together. */
export type Doubt = "failed" | "silent" | "pair";

/** Who is passed over now, as long as there are others. */
export interface Doubts {
  /** After it failed. */
  suspect(name: string): void;
  isSuspect(name: string): boolean;
  /** Failed a short while ago, or sends nothing. */
  isDoubtful(name: string): boolean;
  /** The two failed together; each may be sound with others. */
  keepApart(prefill: string, decode: string): void;
  areApart(prefill: string, decode: string): boolean;
  /** From any decode, now or a short while ago: most prefills are from none. */
  isKeptApart(prefill: string): boolean;
  /** How often which doubt came up. */
  doubts(): Readonly<Record<Doubt, number>>;
  /** Forgets what is said of anybody else. */
  keep(names: ReadonlySet<string>): void;
}

interface DoubtsSetup {
  readonly selection: Pick<Selection, "silenceMs" | "ejectionMs">;
  readonly nowMs: () => number;
  readonly progress: {
    of(name: string): Progress;
    becomes(name: string, progress: Progress): void;
  };
}

export function createDoubts({ selection, nowMs, progress }: DoubtsSetup): Doubts {
  /** Until when, by name. */
  const suspects = new Map<string, number>();
  /** Until when, by prefill and decode. */
  const apart = new Map<string, Map<string, number>>();
  const counts: Record<Doubt, number> = { failed: 0, silent: 0, pair: 0 };

  function suspect(name: string): void {
    counts.failed += 1;
    suspects.set(name, nowMs() + suspectMs);
  }

  function isSuspect(name: string): boolean {
    const untilMs = suspects.get(name);
    if (untilMs === undefined) return false;
    if (untilMs <= nowMs()) suspects.delete(name);
    return untilMs > nowMs();
  }

  /** Judged when somebody wants to know: before, it makes no difference. */
  function isSilent(name: string): boolean {
    const before = progress.of(name);
    if (before.waiting === 0 && before.outUntilMs === 0) return false;
    const after = judgeSilence(before, nowMs(), selection);
    if (after !== before) {
      counts.silent += 1;
      progress.becomes(name, after);
    }
    return after.outUntilMs > nowMs();
  }

  function areApart(prefill: string, decode: string): boolean {
    const partners = apart.get(prefill);
    const untilMs = partners?.get(decode) ?? 0;
    if (untilMs > nowMs()) return true;
    partners?.delete(decode);
    if (partners?.size === 0) apart.delete(prefill);
    return false;
  }

  function keepApart(prefill: string, decode: string): void {
    counts.pair += 1;
    const partners = apart.get(prefill) ?? new Map<string, number>();
    apart.set(prefill, partners.set(decode, nowMs() + apartMs));
    const prefills = [...apart.keys()].filter((one) => areApart(one, decode));
    const decodes = [...partners.keys()].filter((one) => areApart(prefill, one));
    // Of both at once nothing would follow: it is the one that has failed with more of them.
    if (decodes.length >= partnersFailedMax && decodes.length >= prefills.length) suspect(prefill);
    if (prefills.length >= partnersFailedMax && prefills.length >= decodes.length) suspect(decode);
  }

  function keep(names: ReadonlySet<string>): void {
    for (const name of suspects.keys()) if (!names.has(name)) suspects.delete(name);
    for (const [prefill, partners] of apart) {
      for (const decode of partners.keys()) if (!names.has(decode)) partners.delete(decode);
      if (!names.has(prefill) || partners.size === 0) apart.delete(prefill);
    }
  }

  return {
    suspect,
    isSuspect,
    isDoubtful: (name) => isSuspect(name) || isSilent(name),
    keepApart,
    areApart,
    isKeptApart: (prefill) => apart.has(prefill),
    doubts: () => counts,
    keep,
  };
}
