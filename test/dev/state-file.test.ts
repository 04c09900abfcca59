import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { readDevState, removeDevState, writeDevState } from "../../src/dev/state-file.ts";

const dir = mkdtempSync(join(tmpdir(), "pdjob-state-"));
const file = join(dir, "dev.json");
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const where = {
  temporalAddress: "127.0.0.1:1",
  namespace: "default",
  uiUrl: "http://127.0.0.1:2",
  rayAddress: "127.0.0.1:3",
  taskQueue: "pdjob",
};

test("a stack is found while its process lives", () => {
  expect(readDevState(dir)).toBeUndefined();
  writeDevState(where, dir);
  expect(readDevState(dir)).toMatchObject({ ...where, pid: process.pid });
  removeDevState(dir);
  expect(existsSync(file)).toBe(false);
});

test.each([
  ["whose pid now is another process's", { pid: process.pid, startedTicks: 1 }],
  ["written before start times were", { pid: process.pid }],
  ["cut off", "{"],
])("a file %s is no stack, and is not ours to remove", (_what, content) => {
  writeFileSync(
    file,
    typeof content === "string" ? content : JSON.stringify({ ...where, ...content }),
  );
  expect(readDevState(dir)).toBeUndefined();
  removeDevState(dir);
  expect(readFileSync(file, "utf8")).toContain("{");
});
