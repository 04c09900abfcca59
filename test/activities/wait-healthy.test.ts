import { MockActivityEnvironment } from "@temporalio/testing";
import { expect, test } from "vitest";
import { createActivities } from "../../src/activities/index.ts";
import type { Agent } from "../../src/ray/agent.ts";
import { makeSpec } from "../support/spec.ts";

/** An engine that never answers /health. */
const agent = {
  call: async (verb: string) =>
    verb === "logs"
      ? { text: "loading shard 3 of 9\n" }
      : { state: "starting", endpoint: { host: "10.0.0.7", ports: { http: 8100 } } },
  close: () => Promise.resolve(),
} as unknown as Agent;

test("an engine that is not healthy in time leaves its last lines and the command that shows the others", async () => {
  const { waitHealthy } = createActivities({ agent, readProxyProgram: async () => "" });
  const action = {
    kind: "waitHealthy",
    replica: { role: "decode", index: 1 },
    generation: 2,
    deadlineMs: 0,
    reason: "",
  } as const;
  const waiting = new MockActivityEnvironment().run(waitHealthy, {
    spec: makeSpec({ timeoutS: 6 }),
    action,
  });
  await expect(waiting).rejects.toMatchObject({
    message:
      "decode-1 g2 was not healthy on http://10.0.0.7:8100/health within the job's timeout of 6 s. Increase `timeout` in the config if the model needs longer to load; otherwise read its log. Its last lines:\nloading shard 3 of 9\nNext: pdjob-client logs demo decode-1 --generation 2 shows all of its output.",
  });
});
