import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../support/program.ts";

test("what ARCHITECTURE.md says is not there yet is no verb that the README has", () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const rows = readme.split("\n").filter((line) => line.startsWith("| `"));
  const verbs = rows.flatMap((row) =>
    [...(row.split(" | ")[0] ?? "").matchAll(/`([a-z]+)/g)].map(([, verb = ""]) => verb),
  );
  expect(verbs).toEqual(expect.arrayContaining(["start", "apply", "undo", "stop"]));
  const architecture = readFileSync(join(root, "ARCHITECTURE.md"), "utf8");
  const [, missing = ""] = architecture.split("\n## Not there yet\n");
  expect(missing).not.toBe("");
  expect(verbs.filter((verb) => missing.includes(`\`${verb}\``))).toEqual([]);
});
