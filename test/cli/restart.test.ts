import { expect, test } from "vitest";
import { isReplaced } from "../../src/cli/restart.ts";
import type { JobStatus } from "../../src/domain/status.ts";
import { deploying } from "../support/client-that.ts";

const proxyAt = (job: JobStatus["phase"], phase: JobStatus["proxy"]["phase"], generation: number) =>
  isReplaced(
    { ...deploying, phase: job, proxy: { phase, builtin: true, generation } },
    { replica: "proxy", retired: 2 },
  );

test("a restart is done once the job is READY with another generation", () => {
  expect(proxyAt("READY", "READY", 2)).toBe(false);
  expect(proxyAt("HEALING", "READY", 3)).toBe(false);
  expect(proxyAt("READY", "READY", 3)).toBe(true);
});

test("a paused update does not hold up the one who waits for a restart", () => {
  expect(proxyAt("UPDATING", "STARTING", 3)).toBe(false);
  expect(proxyAt("UPDATING", "READY", 3)).toBe(true);
});
