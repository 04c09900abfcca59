import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Random stories of other parts, for which a busy machine has no time. */
const stories = "test/**/*-stories.test.ts";

// Six projects: unit (side by side), simulation (the real workflow and activities on simulated time; stories), e2e (real
// Temporal and Ray, one stack for all files), own-stack (files that kill parts of theirs), faults (seeded kills on the
// real stack), slow (real vLLM, a browser).
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          sequence: { groupOrder: 0 },
          include: ["test/**/*.test.ts"],
          exclude: [
            "test/e2e/**",
            "test/slow/**",
            "test/simulation/**",
            stories,
            "test/faults/*.test.ts",
          ],
          // Some wait for servers and programs more than they compute.
          maxWorkers: 3,
          // Tests on a real stack run beside them.
          testTimeout: 240_000,
          hookTimeout: 240_000,
          expect: { poll: { timeout: 30_000 } },
        },
      },
      {
        resolve: {
          alias: {
            "@temporalio/workflow": at("./test/simulation/temporal/workflow.ts"),
            "@temporalio/activity": at("./test/simulation/temporal/activity.ts"),
          },
        },
        test: {
          name: "simulation",
          sequence: { groupOrder: 1 },
          include: ["test/simulation/**/*.test.ts", stories],
          maxWorkers: 2,
          testTimeout: 300_000,
        },
      },
      {
        test: {
          name: "e2e",
          globalSetup: at("./test/support/shared-stack.ts"),
          sequence: { groupOrder: 2 },
          include: ["test/e2e/*.test.ts"],
          fileParallelism: false,
          testTimeout: 240_000,
          hookTimeout: 240_000,
        },
      },
      {
        test: {
          name: "own-stack",
          sequence: { groupOrder: 3 },
          include: ["test/e2e/own-stack/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 240_000,
          hookTimeout: 240_000,
        },
      },
      {
        test: {
          name: "faults",
          sequence: { groupOrder: 4 },
          include: ["test/faults/*.test.ts"],
          fileParallelism: false,
          testTimeout: 400_000,
          hookTimeout: 240_000,
        },
      },
      {
        test: {
          name: "slow",
          sequence: { groupOrder: 5 },
          include: ["test/slow/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 900_000,
          hookTimeout: 1_200_000,
        },
      },
    ],
  },
});
