import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import {
  makeLogDir,
  readDevState,
  removeDevState,
  writeDevState,
} from "../../src/dev/state-file.ts";

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

test("the folder of logs is made, and is left as it is when it is there", () => {
  const stateDir = join(dir, "new", "state");
  expect(makeLogDir(stateDir)).toBe(join(stateDir, "logs"));
  expect(existsSync(makeLogDir(stateDir))).toBe(true);
});

test("a state folder that cannot be made is named, with the reason and what to give instead", () => {
  const occupied = join(dir, "occupied");
  writeFileSync(occupied, "");
  expect(() => makeLogDir(join(occupied, "state"))).toThrow(
    `The state folder ${join(occupied, "state")} cannot be made or written (ENOTDIR): give another with --state-dir or PDJOB_STATE_DIR.`,
  );
});
