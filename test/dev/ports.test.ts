import { existsSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { claimPort, collectClaims, freePort } from "../../src/dev/ports.ts";

/** Between the ranges that other tests choose from. */
const first = 31_990;

test("two who claim the same port at the same time get different ones, and a released one is had again", async () => {
  const [one, other] = await Promise.all([claimPort(first), claimPort(first)]);
  expect(new Set([one.port, other.port])).toEqual(new Set([first, first + 1]));
  one.release();
  other.release();
  const again = await claimPort(first);
  expect(again.port).toBe(first);
  again.release();
});

test("a port on which somebody listens is passed over, and left claimable", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(first + 4, "127.0.0.1", () => resolve()));
  const claimed = await claimPort(first + 4);
  expect([claimed.port, await freePort(first + 4)]).toEqual([first + 5, first + 5]);
  claimed.release();
  await new Promise((resolve) => void server.close(resolve));
  const next = await claimPort(first + 4);
  expect(next.port).toBe(first + 4);
  next.release();
});

test("claims of processes that are gone are collected, and those of living ones are not", async () => {
  const claimed = await claimPort(first + 8);
  const fileOf = (port: number): string =>
    join(tmpdir(), `pdjob-port-${process.getuid?.()}-${port}.lock`);
  writeFileSync(fileOf(first + 9), '{"pid": 4194303, "startedTicks": 1}');
  collectClaims();
  expect([first + 8, first + 9].map((port) => existsSync(fileOf(port)))).toEqual([true, false]);
  claimed.release();
});
