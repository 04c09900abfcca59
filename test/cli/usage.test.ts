import { beforeAll, expect, test } from "vitest";
import { buildPrograms, runProgram } from "../support/program.ts";

beforeAll(buildPrograms, 90_000);

test.each([
  [["list", "--limit", "0"], "--limit 0: expected a whole number above 0."],
  [
    ["scale", "demo", "decode=0"],
    "decode=0: 1 is the least while the job serves; pdjob-client stop demo ends it.",
  ],
  [["scale", "demo", "decode=300"], "decode=300: 256 is the most."],
  [
    ["start", "examples/quickstart.yaml", "--name", "Bad"],
    "--name Bad: expected 1 to 40 lower-case letters, digits and inner dashes.",
  ],
  [
    ["apply", "examples/quickstart.yaml", "--name", "a_b"],
    "--name a_b: expected 1 to 40 lower-case letters, digits and inner dashes.",
  ],
])(
  "%j is refused with exit code 2, by the flag's or the role's own name",
  async (words, message) => {
    const { exitCode, stderr } = await runProgram("pdjob-client", words);
    expect([exitCode, stderr]).toEqual([2, message]);
  },
);
