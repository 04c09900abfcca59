import { afterAll, beforeAll, describe } from "vitest";
import { answerCases } from "./answers.ts";
import type { Bed } from "./bed.ts";
import { endCases } from "./ends.ts";
import { frozenCoreCases } from "./frozen-core.ts";
import { kvCases } from "./kv.ts";
import { metricCases } from "./metric-names.ts";
import { refusalCases } from "./refusals.ts";
import { refusedRequestCases } from "./refused-requests.ts";
import { routeCases } from "./routes.ts";
import { streamCases } from "./streams.ts";
import { startTrio } from "./trio.ts";
import type { Trio } from "./trio.ts";

/** What it takes to install engines, and to boot three side by side. */
const setUpTimeoutMs = 1_200_000;

/** One set of cases that simulated engines and real vLLM both have to pass, so that the one can stand for the other. */
export function contract(makeBed: () => Promise<Bed>): void {
  let bed: Bed | undefined;
  let trio: Trio | undefined;
  const theBed = (): Bed => required(bed);
  const theTrio = (): Trio => required(trio);

  beforeAll(async () => {
    bed = await makeBed();
  }, setUpTimeoutMs);
  refusalCases(theBed);

  describe("three engines:", () => {
    beforeAll(async () => {
      trio = await startTrio(theBed());
    }, setUpTimeoutMs);
    afterAll(async () => trio?.stop());
    routeCases(theTrio);
    answerCases(theTrio);
    streamCases(theTrio);
    refusedRequestCases(theTrio);
    kvCases(theTrio, theBed);
    metricCases(theTrio, theBed);
    frozenCoreCases(theTrio, theBed);
    endCases(theTrio, theBed);
  });
}

function required<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("the engines did not start");
  return value;
}
