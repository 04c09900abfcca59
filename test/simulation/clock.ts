/** Virtual time. Events run in the order of their time, then of their making; nothing here reads the real clock. */
export interface Clock {
  nowMs(): number;
  /** Runs `event` after `delayMs`, unless it was cancelled. */
  after(delayMs: number, event: () => void | Promise<void>): Timer;
  sleep(delayMs: number): Promise<void>;
  /** Runs events, each with everything that follows from it without time passing, until `isDone`, or until `untilMs`: then false. */
  run(untilMs: number, isDone: () => boolean): Promise<boolean>;
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

  function nextBefore(untilMs: number): Entry | undefined {
    while (heap[0] && !heap[0].run) pop(heap);
    const entry = heap[0];
    if (!entry || entry.atMs > untilMs) return undefined;
    pop(heap);
    return entry;
  }

  /** Without a promise for each event: it would cost as much as the event. */
  function run(untilMs: number, isDone: () => boolean): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const next = (): void => {
        // Each event begins at no place, and so does whatever is simulated next in this file.
        place = undefined;
        try {
          if (isDone()) return resolve(true);
          const entry = nextBefore(untilMs);
          nowMs = entry?.atMs ?? Math.max(nowMs, untilMs);
          if (!entry) return resolve(isDone());
          const going = entry.run?.();
          if (going) going.then(() => whenSettled(next), fail);
          else whenSettled(next);
        } catch (error) {
          fail(error);
        }
      };
      const fail = (error: unknown): void => {
        place = undefined;
        reject(error as Error);
      };
      next();
    });
  }

  return {
    nowMs: () => nowMs,
    after,
    sleep: (delayMs) => new Promise((resolve) => void after(delayMs, resolve)),
    run,
  };
}

/** A turn of Node's loop costs more than most events; of the immediates of one turn each still waits for all promises. */
const settlesATurn = 64;
const waiting: (() => void)[] = [];
let immediates = 0;

/** Resolves when every promise that can go on without time passing has gone on. */
export const settled = (): Promise<void> => new Promise(whenSettled);

function whenSettled(goOn: () => void): void {
  if (immediates === 0) for (; immediates < settlesATurn; immediates++) setImmediate(settleOne);
  waiting.push(goOn);
}

function settleOne(): void {
  immediates -= 1;
  waiting.shift()?.();
}

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

let place: Place | undefined;
const real = { now: Date.now, elapsed: performance.now.bind(performance) };
// The code under test asks these, as it should; in here they are virtual time.
Date.now = () => place?.nowMs() ?? real.now();
performance.now = () => place?.elapsedMs() ?? real.elapsed();

/**
 * From here to the end of the event, code runs at a place that has its own clock. An `AsyncLocalStorage` would say the
 * same of each promise, and a third of a simulation would go into it; so an event goes on at one place only.
 */
export function enter(next: Place): void {
  if (place && place !== next) throw new Error("one event goes on at two places");
  place = next;
}

export const currentPlace = (): Place | undefined => place;
