import { AsyncLocalStorage } from "node:async_hooks";

/** Virtual time. Events run in the order of their time, then of their making; nothing here reads the real clock. */
export interface Clock {
  nowMs(): number;
  /** Runs `event` after `delayMs`, unless it was cancelled. */
  after(delayMs: number, event: () => void | Promise<void>): Timer;
  sleep(delayMs: number): Promise<void>;
  /** Runs the next event and everything that follows from it without time passing. False when there is none before `untilMs`. */
  step(untilMs: number): Promise<boolean>;
}

export interface Timer {
  cancel(): void;
}

interface Entry extends Timer {
  readonly atMs: number;
  readonly order: number;
  run: (() => void | Promise<void>) | undefined;
}

export function createClock(startMs: number): Clock {
  let nowMs = startMs;
  let order = 0;
  const heap: Entry[] = [];

  function after(delayMs: number, event: () => void | Promise<void>): Timer {
    const entry: Entry = {
      atMs: nowMs + Math.max(0, delayMs),
      order: order++,
      run: event,
      cancel: () => (entry.run = undefined),
    };
    push(heap, entry);
    return entry;
  }

  return {
    nowMs: () => nowMs,
    after,
    sleep: (delayMs) => new Promise((resolve) => void after(delayMs, resolve)),
    async step(untilMs) {
      while (heap[0] && !heap[0].run) pop(heap);
      const entry = heap[0];
      if (!entry || entry.atMs > untilMs) {
        nowMs = Math.max(nowMs, untilMs);
        return false;
      }
      pop(heap);
      nowMs = entry.atMs;
      await entry.run?.();
      await settled();
      return true;
    },
  };
}

/** Resolves when every promise that can go on without time passing has gone on. */
export const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

const isBefore = (a: Entry, b: Entry): boolean =>
  a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

function push(heap: Entry[], entry: Entry): void {
  let index = heap.push(entry) - 1;
  while (index > 0) {
    const parent = (index - 1) >> 1;
    if (isBefore(heap[parent]!, entry)) break;
    heap[index] = heap[parent]!;
    index = parent;
  }
  heap[index] = entry;
}

function pop(heap: Entry[]): void {
  const last = heap.pop()!;
  if (heap.length === 0) return;
  let index = 0;
  for (;;) {
    const left = 2 * index + 1;
    if (left >= heap.length) break;
    const right = left + 1;
    const child = right < heap.length && isBefore(heap[right]!, heap[left]!) ? right : left;
    if (!isBefore(heap[child]!, last)) break;
    heap[index] = heap[child]!;
    index = child;
  }
  heap[index] = last;
}

/** Whose clocks code reads: the workflow's task time, or those of a worker's machine. */
interface Place {
  nowMs(): number;
  /** What `performance.now()` counts: it never jumps. */
  elapsedMs(): number;
}

const place = new AsyncLocalStorage<Place>();
const real = { now: Date.now, elapsed: performance.now.bind(performance) };
// The code under test asks these, as it should; in here they are virtual time.
Date.now = () => place.getStore()?.nowMs() ?? real.now();
performance.now = () => place.getStore()?.elapsedMs() ?? real.elapsed();

/** Runs code, and whatever it awaits, at a place that has its own clock. */
export const runAt = <P extends Place, R>(at: P, run: () => R): R => place.run(at, run);

export const currentPlace = (): Place | undefined => place.getStore();
