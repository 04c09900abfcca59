import { expect, test } from "vitest";
import { roles } from "../../src/domain/role.ts";
import { makeSpec } from "../support/spec.ts";
import { firstKind } from "./schedule.ts";
import { tearDown } from "./settle.ts";
import { createWorld } from "./world.ts";

const seeds = 20;
const timeoutS = 60;

/** Two jobs of 8 GPUs each at once, on 12. */
function race(seed: number) {
  const world = createWorld({ seed, gpus: [0, 6, 6], workers: 2 });
  const jobs = ["left", "right"].map((name, index) =>
    world.start(
      makeSpec({
        name,
        timeoutS,
        scheduler: { port: 8021 + index, membership: "builtin" },
        prefill: { ...firstKind },
        decode: { ...firstKind },
      }),
    ),
  );
  return { world, jobs: jobs.filter((job) => job !== undefined) };
}

const groupsOf = ({ cluster }: ReturnType<typeof race>["world"], job: string): readonly string[] =>
  [...cluster.ray.groups.keys()].filter((name) =>
    roles.some((role) => name.startsWith(`${job}-${role}-`)),
  );

test("of two jobs that race for GPUs that are enough for one and a half, one is READY and the other fails with who holds what", async () => {
  let stuck = 0;
  for (let seed = 0; seed < seeds; seed++) {
    const { world, jobs } = race(seed);
    const phases = () => jobs.map((job) => job.status()?.phase);
    const isReady = () => phases().includes("READY");
    expect(await world.run(50_000, isReady), `seed ${seed}: ${phases().join(" and ")}`).toBe(true);
    if (world.trace.some((line) => line.includes("removePlacementGroup"))) stuck += 1;
    const loser = jobs.find((job) => job.status()?.phase !== "READY")!;
    const winner = jobs.find((job) => job !== loser)!;
    await world.run(40_000, () => loser.status()?.phase === "WAITING");
    expect(loser.status()?.reason).toMatch(
      new RegExp(`of 12 GPUs are free; .*job ${winner.spec.name} (holds )?8`),
    );
    await world.run(timeoutS * 1_000, () => loser.execution.status !== "running");
    expect(loser.execution.status).toBe("failed");
    const ending = loser.execution.ending;
    expect(ending).toMatchObject({ kind: "failed", code: "PlacementTimeout" });
    expect(JSON.stringify(ending)).toMatch(new RegExp(`job ${winner.spec.name} (holds )?8`));
    expect(groupsOf(world, loser.spec.name)).toEqual([]);
    expect(winner.status()?.phase).toBe("READY");
    await tearDown(world);
    expect(world.violations).toEqual([]);
  }
  // The story is about those in which each had a part.
  expect(stuck).toBeGreaterThan(seeds / 4);
});

test("the one that waits is READY once the other has stopped", async () => {
  for (let seed = 0; seed < 10; seed++) {
    const { world, jobs } = race(seed);
    await world.run(90_000, () => jobs.some((job) => job.status()?.phase === "READY"));
    const winner = jobs.find((job) => job.status()?.phase === "READY")!;
    const loser = jobs.find((job) => job !== winner)!;
    winner.stop();
    await world.run(60_000, () => loser.status()?.phase === "READY");
    expect(loser.status()?.phase, `seed ${seed}`).toBe("READY");
    await tearDown(world);
    expect(world.violations).toEqual([]);
  }
});
