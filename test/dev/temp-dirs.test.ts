import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { collectTempDirs, makeTempDir } from "../../src/dev/temp-dirs.ts";

const parent = mkdtempSync(join(tmpdir(), "pdjob-temp-"));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

test("folders of processes that are gone are collected, and nothing else is", () => {
  const mine = makeTempDir(parent);
  const dead = join(parent, "pdjob-dead00");
  mkdirSync(join(dead, "session"), { recursive: true });
  writeFileSync(join(dead, "pdjob-owner.json"), '{"pid": 4194303, "startedTicks": 1}');
  mkdirSync(join(parent, "pdjob-unmarked"));
  mkdirSync(join(parent, "other"));
  writeFileSync(join(parent, "other", "pdjob-owner.json"), '{"pid": 4194303, "startedTicks": 1}');
  collectTempDirs(parent);
  expect(existsSync(dead)).toBe(false);
  expect(existsSync(mine)).toBe(true);
  expect(readdirSync(parent)).toEqual(expect.arrayContaining(["pdjob-unmarked", "other"]));
});
