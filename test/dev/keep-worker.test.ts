import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, test, vi } from "vitest";
import { keepWorker } from "../../src/dev/keep-worker.ts";
import { eventually } from "../support/eventually.ts";

const dir = mkdtempSync(join(tmpdir(), "pdjob-worker-"));
const where = { temporalAddress: "127.0.0.1:9", rayAddress: "127.0.0.1:9", taskQueue: "none" };

afterEach(() => void vi.unstubAllEnvs());
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test("a worker that cannot be started again for a while is started as soon as it can be", async () => {
  const workerProgram = join(dir, "worker.mjs");
  writeFileSync(workerProgram, "setInterval(() => undefined, 60_000);\n");
  const told: string[] = [];
  const onProgress = (text: string): void => void told.push(text);
  const worker = await keepWorker(where, dir, {
    workerProgram,
    workerBackoffMaxMs: 300,
    onProgress,
  });
  const first = worker.pid();
  vi.stubEnv("PDJOB_PYTHON", "/nonexistent/python");
  worker.kill();
  await eventually("a start has failed", () => told.length > 0);
  vi.unstubAllEnvs();
  await eventually("another worker runs", () => ![first, undefined].includes(worker.pid()));
  await worker.stop();
  expect(worker.pid()).toBeUndefined();
  expect(told[0]).toContain("the worker could not be started, and is tried again: ");
});
