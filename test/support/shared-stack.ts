import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { startStack } from "../../src/dev/stack.ts";
import type { Stack } from "../../src/dev/stack.ts";

/** Apart from the ports that a user's own stack would take, and those of files that have a stack of their own. */
const ports = { port: 17_033, uiPort: 18_033 } as const;

/** What tells a test file where the stack is that all files share which do it no harm. */
export type SharedStack = Pick<
  Stack,
  "temporalAddress" | "namespace" | "rayAddress" | "taskQueue" | "stateDir"
>;

declare module "vitest" {
  export interface ProvidedContext {
    stack?: SharedStack;
  }
}

/** Started once for all files of a project: a stack takes as long as most tests. */
export default async function shareStack(project: TestProject): Promise<() => Promise<void>> {
  const dir = mkdtempSync(join(tmpdir(), "pdjob-shared-"));
  const stack = await startStack({ stateDir: dir, ...ports });
  const { temporalAddress, namespace, rayAddress, taskQueue, stateDir } = stack;
  project.provide("stack", { temporalAddress, namespace, rayAddress, taskQueue, stateDir });
  return async () => {
    await stack.stop();
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  };
}
