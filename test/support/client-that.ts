import type { Execution, PdjobClient } from "../../src/client.ts";
import type { JobStatus } from "../../src/domain/status.ts";

export const deploying: JobStatus = {
  job: "demo",
  phase: "DEPLOYING",
  reason: "",
  desired: { prefill: 1, decode: 1 },
  desiredGeneration: 0,
  ready: { prefill: 0, decode: 0 },
  replicas: [],
  proxy: { phase: "PENDING", builtin: true },
  inFlight: [],
  events: [],
};

export const running: Execution = { state: "RUNNING", failures: [] };

/** A client that answers these questions alone. */
export const clientThat = (answers: Partial<PdjobClient>): PdjobClient =>
  ({ look: async () => running, ...answers }) as unknown as PdjobClient;
