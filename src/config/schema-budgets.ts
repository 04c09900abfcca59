import { z } from "zod";
import { drainQuietS } from "../domain/membership.ts";
import { replicasMax } from "../domain/scale.ts";
import { defaultHealth, defaultRollout, restartsMax } from "../domain/spec.ts";
import { mapping, mustBe, seconds, whole } from "./expect.ts";
import * as limits from "./limits.ts";

/** How much of what a job may take: probes, replacements, updates, drains. */
export const budgets = {
  health: z
    .strictObject(
      {
        interval: seconds(1, limits.healthIntervalMaxS)
          .default(defaultHealth.intervalS)
          .describe("Seconds between two probes of an engine's /health."),
        timeout: seconds(1, limits.healthTimeoutMaxS)
          .default(defaultHealth.timeoutS)
          .describe("Seconds after which a probe without an answer has failed."),
        failures: whole(1, limits.healthFailuresMax)
          .default(defaultHealth.failures)
          .describe("Failed probes in a row after which an engine that was healthy is replaced."),
        stall: seconds(0, limits.healthStallMaxS)
          .default(defaultHealth.stallS)
          .describe(
            "Seconds that an engine's core may stand still, by its metrics, before it is asked for one token, and again before it is replaced; 0 = for ever.",
          ),
      },
      mapping,
    )
    .prefault({})
    .describe("When an engine counts as hung."),
  canary: z
    .boolean(mustBe("true or false"))
    .default(true)
    .describe("Whether a request must come through a new replica before it serves."),
  restart: z
    .strictObject(
      {
        max_restarts: whole(0, restartsMax)
          .default(5)
          .describe("Replacements of one replica within the window before the job is DEGRADED."),
        window: seconds(1, limits.restartWindowMaxS)
          .default(600)
          .describe("Seconds over which replacements are counted."),
      },
      mapping,
    )
    .prefault({})
    .describe("How often a broken replica is replaced."),
  rollout: z
    .strictObject(
      {
        surge: whole(0, replicasMax)
          .default(defaultRollout.surge)
          .describe(
            "Replicas of a role that may exist beyond `replicas` while an update needs them; they must fit into num_gpus.",
          ),
        unavailable: whole(0, replicasMax)
          .default(defaultRollout.unavailable)
          .describe(
            "Replicas of a role that may be missing at once during an update; one always serves.",
          ),
        attempts: whole(1, restartsMax)
          .default(defaultRollout.attempts)
          .describe(
            "Times that one replica may fail with a new config before the job goes back to the one before.",
          ),
      },
      mapping,
    )
    .prefault({})
    .describe("How `apply` replaces engines."),
  drain: z
    .strictObject(
      {
        prefill: seconds(0, limits.drainMaxS)
          .default(60)
          .describe("Seconds that a prefill replica may finish its requests before it is stopped."),
        decode: seconds(0, limits.drainMaxS)
          .default(600)
          .describe("The same for a decode replica."),
        quiet: seconds(0, limits.drainMaxS)
          .default(drainQuietS)
          .describe(
            "Seconds without a request after which an engine counts as drained, behind a proxy that does not count requests (membership http, file or none).",
          ),
      },
      mapping,
    )
    .prefault({})
    .describe("How long requests in flight are waited for."),
};
