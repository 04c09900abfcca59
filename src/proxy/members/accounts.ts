import type { Estimate } from "../selection/load.ts";
import { asked, came, givenUp, idle } from "./standing.ts";
import type { Progress } from "./standing.ts";

/** One request on one member, from the choice to its end. */
export interface Visit {
  /** Somebody waits for its next byte now. */
  asked(): void;
  /** It came. Of a stream it is taken for one token, so tokens that come in one piece count once. */
  came(): void;
  /** Nobody waits any more, and nothing came. */
  gaveUp(): void;
  leave(): void;
}

/** What each member is doing. */
export interface Accounts {
  /** Counts a request on a member until its visit is over, removed members included. */
  enter(name: string, tokens?: Estimate): Visit;
  /** Requests by name. */
  inFlight(): Readonly<Record<string, number>>;
  countOf(name: string): number;
  /** Tokens in flight. */
  loadOf(name: string): number;
  /** The count of requests when it got its last one. */
  lastTurnOf(name: string): number;
}

interface Account {
  count: number;
  load: number;
  lastTurn: number;
  progress: Progress;
}

const nothing: Estimate = { prompt: 0, answer: 0 };

export function createAccounts(nowMs: () => number) {
  const accounts = new Map<string, Account>();
  let names: ReadonlySet<string> = new Set();
  let turn = 0;

  function accountOf(name: string): Account {
    const known = accounts.get(name);
    if (known) return known;
    const account: Account = { count: 0, load: 0, lastTurn: 0, progress: idle };
    accounts.set(name, account);
    return account;
  }

  function forget(name: string): void {
    if (accounts.get(name)?.count === 0 && !names.has(name)) accounts.delete(name);
  }

  function enter(name: string, { prompt, answer }: Estimate = nothing): Visit {
    const account = accountOf(name);
    account.count += 1;
    account.load += prompt + answer;
    account.lastTurn = turn += 1;
    return visitOf(account, {
      nowMs,
      answer,
      onLeave: (toCome) => {
        account.count -= 1;
        account.load -= prompt + toCome;
        forget(name);
      },
    });
  }

  return {
    enter,
    inFlight: () =>
      Object.fromEntries(
        [...accounts].flatMap(([name, { count }]) => (count > 0 ? [[name, count]] : [])),
      ),
    countOf: (name: string) => accounts.get(name)?.count ?? 0,
    loadOf: (name: string) => accounts.get(name)?.load ?? 0,
    lastTurnOf: (name: string) => accounts.get(name)?.lastTurn ?? 0,
    progress: {
      of: (name: string) => accounts.get(name)?.progress ?? idle,
      becomes: (name: string, progress: Progress) => void (accountOf(name).progress = progress),
    },
    /** Forgets everybody else, once their requests are over. */
    keep(members: ReadonlySet<string>) {
      names = members;
      for (const name of accounts.keys()) forget(name);
    },
  };
}

interface VisitSetup {
  readonly nowMs: () => number;
  readonly answer: number;
  readonly onLeave: (toCome: number) => void;
}

function visitOf(account: Account, { nowMs, answer, onLeave }: VisitSetup): Visit {
  let toCome = answer;
  let waiting = false;
  let left = false;
  const gaveUp = (): void => {
    if (waiting) account.progress = givenUp(account.progress);
    waiting = false;
  };
  return {
    asked() {
      if (waiting || left) return;
      waiting = true;
      account.progress = asked(account.progress, nowMs());
    },
    came() {
      if (!waiting) return;
      waiting = false;
      account.progress = came(account.progress, nowMs());
      const one = Math.min(1, toCome);
      toCome -= one;
      account.load -= one;
    },
    gaveUp,
    leave() {
      if (left) return;
      gaveUp();
      left = true;
      onLeave(toCome);
    },
  };
}
