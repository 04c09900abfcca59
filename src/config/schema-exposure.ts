import { z } from "zod";
import { defaultProxyLimits } from "../domain/exposure.ts";
import { mapping, mustBe, mustRead, seconds, whole } from "./expect.ts";
import * as limits from "./limits.ts";

/* What clients may take of the built-in proxy, and which of them may come; see `schema-scheduler.ts`. */

const reference = "env:NAME, a variable where the worker runs, or file:/PATH";

const references = (least: 0 | 1) => {
  const expected = mustBe(
    `a list of ${least} to ${limits.keyReferencesMax} references to keys, such as [env:NAME, file:/PATH]`,
  );
  return z
    .array(
      z
        .string(mustBe(`a reference to keys: ${reference}`))
        // What was written instead may be the key itself.
        .regex(
          /^(?:env:[A-Za-z_][A-Za-z0-9_]*|file:\/.+)$/,
          mustRead(
            `a reference to keys and no key, which Temporal would keep and show: ${reference}`,
          ),
        ),
      expected,
    )
    .min(least, expected)
    .max(limits.keyReferencesMax, expected);
};

export const exposure = {
  auth: z
    .strictObject(
      {
        inference: references(1).describe(
          "References to keys, one a line, for completions and the list of models.",
        ),
        admin: references(0)
          .default([])
          .describe("The same for keys that open /metrics, too; without any, nobody sees it."),
      },
      mapping,
    )
    .describe("Keys that clients of the built-in proxy must send; left out, none.")
    .optional(),
  limits: z
    .strictObject(
      {
        max_body_mib: whole(1, limits.bodyMibMax)
          .default(defaultProxyLimits.bodyMibMax)
          .describe("MiB of one request's body; a larger one is refused with 413."),
        max_memory_mib: whole(1, limits.memoryMibMax)
          .default(defaultProxyLimits.memoryMibMax)
          .describe(
            "MiB of the bodies of all requests that are there, at least one of max_body_mib; what has no room is refused with 503.",
          ),
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
