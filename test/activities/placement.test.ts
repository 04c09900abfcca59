import { MockActivityEnvironment } from "@temporalio/testing";
import { expect, test } from "vitest";
import { createActivities } from "../../src/activities/index.ts";
import type { ActionOf } from "../../src/domain/action.ts";
import { PdjobError } from "../../src/domain/errors.ts";
import type { Agent } from "../../src/ray/agent.ts";
import type { VerbArgs } from "../../src/ray/verbs.ts";
import { makeSpec } from "../support/spec.ts";

type Asked = VerbArgs["ensurePlacementGroup"];

test("a reservation is made once: a worker that does not know of the job's end makes none after it", async () => {
  const asked: Asked[] = [];
  const agent = {
    async call(_verb: string, args: Asked) {
      asked.push(args);
      if (asked.length === 3) throw new PdjobError("PlacementPending", "it is gone");
      return { name: args.name, state: "PENDING", schedulingState: "NO_RESOURCES", nodeIps: [] };
    },
    close: async () => undefined,
  } as unknown as Agent;
  const { reservePlacementGroup } = createActivities({ agent, readProxyProgram: async () => "" });
  const action: ActionOf<"reservePlacementGroup"> = {
    kind: "reservePlacementGroup",
    replica: { role: "decode", index: 0 },
    generation: 4,
    bundles: [{ GPU: 2 }],
    replaces: false,
    reason: "",
  };
  const run = new MockActivityEnvironment().run(reservePlacementGroup, {
    spec: makeSpec(),
    action,
  });
  await expect(run).rejects.toThrow("it is gone");
  expect(asked.map(({ mustExist }) => mustExist)).toEqual([false, true, true]);
});
