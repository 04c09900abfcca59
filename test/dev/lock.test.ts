import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { takeLock } from "../../src/dev/lock.ts";
import { ownIdentity } from "../../src/dev/process-identity.ts";
import { buildPrograms, root } from "../support/program.ts";

const dir = mkdtempSync(join(tmpdir(), "pdjob-lock-"));
const file = (name: string): string => join(dir, name);

beforeAll(buildPrograms, 90_000);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test("a lock is taken once, names its holder, and is free after its release", () => {
  const first = takeLock(file("once"));
  expect(first.taken).toBe(true);
  expect(takeLock(file("once"))).toEqual({ taken: false, holder: ownIdentity() });
  if (first.taken) first.release();
  expect(existsSync(file("once"))).toBe(false);
  expect(takeLock(file("once")).taken).toBe(true);
});

test.each([
  ["a process that is gone", JSON.stringify({ pid: 4_194_303, startedTicks: 1 })],
  ["an earlier process with our pid", JSON.stringify({ pid: process.pid, startedTicks: 1 })],
  ["nobody, because the file is cut off", '{"pid":'],
])("a lock of %s is taken over", (_who, text) => {
  writeFileSync(file("stale"), text);
  const lock = takeLock(file("stale"));
  expect(lock.taken).toBe(true);
  expect(JSON.parse(readFileSync(file("stale"), "utf8"))).toEqual(ownIdentity());
  if (lock.taken) lock.release();
  expect(readdirSync(dir).filter((name) => name.startsWith("stale"))).toEqual([]);
});

test("a lock that has become somebody else's is not released", () => {
  const lock = takeLock(file("lost"));
  writeFileSync(file("lost"), JSON.stringify({ pid: 1, startedTicks: 7 }));
  if (lock.taken) lock.release();
  expect(existsSync(file("lost"))).toBe(true);
});

test("of many processes that find a dead holder's lock, exactly one takes it over", async () => {
  writeFileSync(file("race"), JSON.stringify({ pid: 4_194_303, startedTicks: 1 }));
  const program = `
    import { takeLock } from ${JSON.stringify(`${root}dist/dev/lock.js`)};
    const startMs = Number(process.argv[1]);
    while (Date.now() < startMs);
    process.stdout.write(String(takeLock(process.argv[2]).taken));
    process.stdin.resume();
  `;
  const argv = ["--input-type=module", "-e", program, String(Date.now() + 1_500), file("race")];
  const racers = Array.from({ length: 6 }, () =>
    execa(process.execPath, argv, { stdin: "pipe", reject: false }),
  );
  const firstWords = racers.map(
    (racer) =>
      new Promise<string>((resolve) => racer.stdout.once("data", (part) => resolve(String(part)))),
  );
  const taken = await Promise.all(firstWords);
  for (const racer of racers) racer.stdin.end();
  await Promise.all(racers);
  expect(taken.filter((word) => word === "true")).toHaveLength(1);
});
