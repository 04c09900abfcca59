import { afterEach, expect, test, vi } from "vitest";
import { allOracles } from "./oracles/all.ts";
import { plant } from "./planted/breakable.ts";
import { clusterBugs } from "./planted/cluster.ts";
import { policyBugs } from "./planted/policy.ts";
import { stories } from "./planted/stories.ts";
import { workflowBugs } from "./planted/workflow.ts";
import { play } from "./play.ts";
import { makeSchedule } from "./schedule.ts";
import { withoutStacks } from "./stacks.ts";
import { createWorld } from "./world.ts";

// Written out, because vitest moves each of them to the top.
vi.mock("../../src/activities/drain.ts", async (original) => broken(original));
vi.mock("../../src/plan/canary.ts", async (original) => broken(original));
vi.mock("../../src/plan/condemn.ts", async (original) => broken(original));
vi.mock("../../src/plan/members.ts", async (original) => broken(original));
vi.mock("../../src/plan/membership.ts", async (original) => broken(original));
vi.mock("../../src/plan/reconcile.ts", async (original) => broken(original));
vi.mock("../../src/plan/replica.ts", async (original) => broken(original));
vi.mock("../../src/plan/restarts.ts", async (original) => broken(original));
vi.mock("../../src/plan/teardown.ts", async (original) => broken(original));
vi.mock("../../src/plan/view.ts", async (original) => broken(original));
vi.mock("../../src/plan/world.ts", async (original) => broken(original));
vi.mock("../../src/workflows/remember.ts", async (original) => broken(original));
vi.mock("../../src/workflows/state.ts", async (original) => broken(original));
vi.mock("../../src/workflows/watcher.ts", async (original) => broken(original));
vi.mock("./cluster/lease.ts", async (original) => broken(original));
vi.mock("./cluster/proxy.ts", async (original) => broken(original));
vi.mock("./cluster/removal.ts", async (original) => broken(original));
vi.mock("./cluster/replica.ts", async (original) => broken(original));
vi.mock("./cluster/traffic.ts", async (original) => broken(original));
vi.mock("./cluster/verbs.ts", async (original) => broken(original));

async function broken(original: () => Promise<unknown>): Promise<object> {
  const { breakable } = await import("./planted/breakable.ts");
  return breakable((await original()) as object);
}

const bugs = [...policyBugs, ...workflowBugs, ...clusterBugs];

/** A bug that no oracle has caught by then is not caught. */
const seedsMax = 200;
/** Seeds that are calm without a bug: it is not the planting that is caught. */
const calmSeeds = 5;

afterEach(() => plant(() => ({})));

test("every oracle has a bug that it is there for", () => {
  const world = createWorld({ seed: 0 });
  const names = allOracles.map((make) => make(world).name);
  expect(names.filter((name) => !bugs.some(({ caughtBy }) => caughtBy === name))).toEqual([]);
});

test("nothing is caught where nothing is planted", async () => {
  for (const schedule of [makeSchedule, ...stories])
    for (let seed = 0; seed < calmSeeds; seed++)
      expect((await play(schedule(seed))).violations).toEqual([]);
});

for (const { name, caughtBy, bug, schedule = makeSchedule } of bugs)
  test(`${name}: caught by "${caughtBy}"`, async () => {
    plant(bug);
    for (let seed = 0; seed < seedsMax; seed++) {
      const { violations } = await withoutStacks(() => play(schedule(seed)));
      const [first] = violations;
      if (!first) continue;
      expect(first.oracle).toBe(caughtBy);
      return;
    }
    expect.fail(`no oracle caught it in ${seedsMax} schedules`);
  });
