import { Context } from "@temporalio/activity";
import { ApplicationFailure } from "@temporalio/common";
import { PdjobError, isRetryable } from "../domain/errors.ts";

/** Well under every heartbeat timeout, so that only a dead worker misses one. */
const heartbeatEveryMs = 1_000;

/** The part of the SDK's activity interceptor that we implement. */
interface ActivityConduct {
  execute(input: { args: unknown[] }, next: (input: never) => Promise<unknown>): Promise<unknown>;
}

/**
 * How every activity behaves: it heartbeats as long as its process lives, it learns of its cancellation that way,
 * and it fails with a code of domain/errors.ts as the failure's type, retryable as the table there says.
 */
export function conductActivity(): { inbound: ActivityConduct } {
  return {
    inbound: {
      async execute(input, next) {
        const context = Context.current();
        const timer = setInterval(() => context.heartbeat(), heartbeatEveryMs);
        try {
          return await next(input as never);
        } catch (error) {
          // Whatever a cancelled call threw, the cancellation is the reason.
          if (context.cancellationSignal.aborted) await context.cancelled;
          throw toFailure(error);
        } finally {
          clearInterval(timer);
        }
      },
    },
  };
}

function toFailure(error: unknown): unknown {
  if (!(error instanceof PdjobError)) return error;
  const nonRetryable = !isRetryable[error.code];
  return ApplicationFailure.create({ type: error.code, message: error.message, nonRetryable });
}
