import type { ActivityOptions } from "@temporalio/workflow";

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  millisecond: 1,
  s: 1_000,
  second: 1_000,
  m: 60_000,
  minute: 60_000,
  h: 3_600_000,
  hour: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
};

const known = new Map<string, number>();

export function toMs(duration: string | number): number {
  if (typeof duration === "number") return duration;
  const ms = known.get(duration) ?? read(duration);
  known.set(duration, ms);
  return ms;
}

function read(duration: string): number {
  const [, count, unit] = /^(\d+)\s*(ms|[a-z]+?)s?$/.exec(duration) ?? [];
  const factor = unitMs[unit ?? ""];
  if (count === undefined || factor === undefined) throw new Error(`not a duration: ${duration}`);
  return Number(count) * factor;
}

/** How an activity may take its time and be tried again, in milliseconds. */
export interface ActivityPolicy {
  readonly startToCloseMs: number;
  readonly heartbeatMs: number;
  readonly scheduleToCloseMs: number;
  readonly firstRetryMs: number;
  readonly retryFactor: number;
  readonly retryMaxMs: number;
  readonly attemptsMax: number;
  /** TRY_CANCEL: the workflow does not wait for the cancellation to arrive. */
  readonly triesCancel: boolean;
}

const or = (duration: string | number | undefined, otherwise: number): number =>
  duration === undefined ? otherwise : toMs(duration);

export function policyOf(options: ActivityOptions): ActivityPolicy {
  const { retry = {} } = options;
  return {
    startToCloseMs: or(options.startToCloseTimeout, Infinity),
    heartbeatMs: or(options.heartbeatTimeout, Infinity),
    scheduleToCloseMs: or(options.scheduleToCloseTimeout, Infinity),
    firstRetryMs: or(retry.initialInterval, 1_000),
    retryFactor: retry.backoffCoefficient ?? 2,
    retryMaxMs: or(retry.maximumInterval, 100_000),
    attemptsMax: retry.maximumAttempts ?? Infinity,
    triesCancel: options.cancellationType === "TRY_CANCEL",
  };
}
