import { expect, test, vi } from "vitest";
import type * as Members from "../../src/plan/members.ts";
import { lookAt } from "../../src/plan/world.ts";
import { rollOut } from "../../src/plan/rollout.ts";
import { fakeCluster } from "../support/cluster.ts";
import { makeSpec } from "../support/spec.ts";

const counted = vi.hoisted(() => ({ times: 0 }));
vi.mock("../../src/plan/members.ts", async (original) => {
  const members = await original<typeof Members>();
  const eligibleMembers: typeof members.eligibleMembers = (world, input) => {
    counted.times += 1;
    return members.eligibleMembers(world, input);
  };
  return { ...members, eligibleMembers };
});

test("a rollout with surplus replicas works out who may serve once", () => {
  const revised = (revision: string) =>
    makeSpec({
      prefill: { replicas: 1, revision },
      decode: { replicas: 1, revision },
    });
  const job = fakeCluster(revised("a"));
  job.settle();
  job.state.spec = revised("b");
  job.state.desired = { ...job.state.desired, rollout: { revision: 2, since: {} } };
  job.turn().actions.forEach(job.run);
  const input = job.state;
  expect(input.memory.surge).toHaveLength(2);
  counted.times = 0;
  rollOut(lookAt(input), input);
  expect(counted.times).toBe(1);
});
