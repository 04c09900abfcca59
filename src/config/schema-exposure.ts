import { z } from "zod";
import { defaultProxyLimits } from "../domain/exposure.ts";
import { mapping, seconds, whole } from "./expect.ts";
import * as limits from "./limits.ts";

/* What clients may take of the built-in proxy, and which of them may come; see `schema-scheduler.ts`. */

export const exposure = {
  limits: z
    .strictObject(
      {
        max_body_mib: whole(1, limits.bodyMibMax)
          .default(defaultProxyLimits.bodyMibMax)
          .describe("MiB of one request's body; a larger one is refused with 413."),
        max_requests: whole(1, limits.requestsMax)
          .default(defaultProxyLimits.requestsMax)
          .describe("Requests at once, those that wait included; more are refused with 503."),
        max_waiting: whole(0, limits.requestsMax)
          .default(defaultProxyLimits.waitingMax)
          .describe(
            "Requests that may wait while no prefill and decode replica is ready; more are refused with 503.",
          ),
        max_wait: seconds(0, limits.waitMaxS)
          .default(defaultProxyLimits.waitS)
          .describe("Seconds that one of them may wait before it is refused with 503."),
      },
      mapping,
    )
    .describe("What clients may take of the built-in proxy.")
    .optional(),
};
