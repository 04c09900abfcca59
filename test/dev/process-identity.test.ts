import { readFileSync } from "node:fs";
import { execa } from "execa";
import { expect, test } from "vitest";
import { asIdentity, isAlive, ownIdentity } from "../../src/dev/process-identity.ts";
import { eventually } from "../support/eventually.ts";

const statOf = (pid: number): readonly string[] =>
  readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];

test("we are alive, and an earlier process with our pid is not", () => {
  expect(isAlive(ownIdentity())).toBe(true);
  expect(isAlive({ pid: process.pid, startedTicks: 1 })).toBe(false);
});

test("a process that has ended but that nobody waited for is not alive", async () => {
  // The shell becomes `sleep` before its child ends, and `sleep` does not know that it has one.
  const parent = execa("sh", ["-c", "sleep 0.3 & echo $!; exec sleep 30"], { reject: false });
  const pid = await new Promise<number>((resolve) =>
    parent.stdout.once("data", (part) => resolve(Number(part))),
  );
  await eventually("it is a zombie", () => statOf(pid)[0] === "Z");
  expect(isAlive({ pid, startedTicks: Number(statOf(pid)[19]) })).toBe(false);
  parent.kill("SIGKILL");
  await parent;
});

test("only a pid and a start time together are an identity", () => {
  expect(asIdentity({ pid: 1, startedTicks: 2, more: true })).toEqual({ pid: 1, startedTicks: 2 });
  expect(
    [undefined, null, 7, {}, { pid: 1 }, { pid: "1", startedTicks: 2 }].map(asIdentity),
  ).toEqual(Array.from({ length: 6 }, () => undefined));
});
