import { proxyActivities } from "@temporalio/workflow";
import type { ActivityOptions } from "@temporalio/workflow";
import type { Activities } from "../activities/index.ts";
import { actionKey } from "../domain/action.ts";
import type { Action } from "../domain/action.ts";
import type { JobSpec } from "../domain/spec.ts";
import type { ActionResult } from "./remember.ts";

// One proxy per timeout class. Every activity heartbeats each second, so a dead worker is noticed within
// heartbeatTimeout; attempts are unlimited because only errors that trying again can help are retryable.
const retry = {
  initialInterval: "500 milliseconds",
  backoffCoefficient: 2,
  maximumInterval: "10 seconds",
} as const;
const heartbeatTimeout = "6 seconds";

/** Reads and pure work. */
export const quick = proxyActivities<Activities>({
  startToCloseTimeout: "1 minute",
  heartbeatTimeout,
  retry,
});
/** Changes something and returns when it is done. */
const change = proxyActivities<Activities>({
  startToCloseTimeout: "10 minutes",
  heartbeatTimeout,
  retry,
});
/** Changes that may turn out to be moot: past this the planner looks again at what is there. */
const begin = proxyActivities<Activities>({
  startToCloseTimeout: "3 minutes",
  scheduleToCloseTimeout: "3 minutes",
  heartbeatTimeout,
  retry,
});
const point = proxyActivities<Activities>({
  startToCloseTimeout: "20 seconds",
  scheduleToCloseTimeout: "20 seconds",
  heartbeatTimeout,
  retry,
});
/** Waits for the world; each has its own deadline in its input, and these are only the outer bound. */
const wait = proxyActivities<Activities>({
  startToCloseTimeout: "7 days",
  heartbeatTimeout,
  retry,
});
/** Read-only and endless: nobody needs to wait for its cancellation to arrive. */
export const watch = proxyActivities<Activities>({
  startToCloseTimeout: "1 day",
  heartbeatTimeout,
  retry,
  cancellationType: "TRY_CANCEL",
});

/** The one place where actions meet activities. */
export async function perform(action: Action, spec: JobSpec): Promise<ActionResult> {
  const options: ActivityOptions = { summary: summaryOf(action) };
  switch (action.kind) {
    case "uploadFiles":
      return change.uploadFiles.executeWithOptions(options, [{ spec, action }]);
    case "probeEngine":
      return begin.probeEngine.executeWithOptions(options, [{ spec, action }]);
    case "reservePlacementGroup":
      return void (await wait.reservePlacementGroup.executeWithOptions(options, [
        { spec, action },
      ]));
    case "startPrefill":
      return begin.startPrefill.executeWithOptions(options, [{ spec, action }]);
    case "startDecode":
      return begin.startDecode.executeWithOptions(options, [{ spec, action }]);
    case "readKvIp":
      return point.readKvIp.executeWithOptions(options, [{ spec, action }]);
    case "waitHealthy":
      return void (await wait.waitHealthy.executeWithOptions(options, [{ spec, action }]));
    case "sendCanary":
      return wait.sendCanary.executeWithOptions(options, [{ spec, action }]);
    case "drainReplica":
      return void (await wait.drainReplica.executeWithOptions(options, [{ spec, action }]));
    case "stopReplica":
      return void (await change.stopReplica.executeWithOptions(options, [{ spec, action }]));
    case "removePlacementGroup":
      return void (await change.removePlacementGroup.executeWithOptions(options, [
        { spec, action },
      ]));
    case "renderProxy":
      return quick.renderProxy.executeWithOptions(options, [{ spec, action }]);
    case "runProxy":
      return wait.runProxy.executeWithOptions(options, [{ spec, action }]);
    case "setMembership":
      return void (await point.setMembership.executeWithOptions(options, [{ spec, action }]));
    case "drainProxy":
      return void (await wait.drainProxy.executeWithOptions(options, [{ spec, action }]));
    case "stopProxy":
      return void (await change.stopProxy.executeWithOptions(options, [{ spec, action }]));
    case "sweep":
      return void (await change.sweep.executeWithOptions(options, [{ spec }]));
  }
}

/** The server refuses more than 200 bytes. */
const summaryMax = 160;

/** `prefill-0 g1: …`: what the Web UI shows beside the activity's name. */
function summaryOf(action: Action): string {
  const subject = actionKey(action).slice(action.kind.length + 1);
  return `${subject}: ${action.reason}`.replaceAll(/[^ -~]/g, "?").slice(0, summaryMax);
}
