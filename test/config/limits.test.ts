import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { charactersMax, textMax, tokensMax, valuesMax } from "../../src/config/limits.ts";
import { formatIssue, parseConfig } from "../../src/config/parse.ts";
import { job } from "./job.ts";

const firstMessage = (text: string): string => {
  const parsed = parseConfig(text, { file: "f" });
  return parsed.ok ? "accepted" : formatIssue(parsed.issues[0]!);
};

const filled = (unit: string, length: number): string =>
  unit.repeat(Math.ceil(length / unit.length)).slice(0, length);

/** Accepted, in a part of what it takes when the work grows with the square of the text: processor time, on a busy machine. */
function expectCheap(text: string): void {
  const before = process.cpuUsage();
  expect(firstMessage(text)).toBe("accepted");
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1_000_000).toBeLessThan(3);
}

/** `FLAG0=1 FLAG1=1 …` */
const numbered = (flag: string, length: number): string =>
  Array.from({ length: Math.ceil(length / flag.length) }, (_, at) => `${flag}${at}=1`)
    .join(" ")
    .slice(0, length);

/** Nine aliases of the level before, on each of 25 levels: 9^25 values from one kilobyte. */
const bomb = (level: (aliases: string) => string): string => {
  const names = "abcdefghijklmnopqrstuvwxyz".split("");
  const levels = names.slice(1).map((name, at) => {
    const aliases = Array.from({ length: 9 }, () => `*${names[at]}`).join(",");
    return `${name}: &${name} ${level(aliases)}`;
  });
  return ["a: &a {x: 1}", ...levels].join("\n");
};

describe("a file that could cost without end is refused at a limit", () => {
  test("more characters than the limit are not even parsed", () => {
    expect(firstMessage(filled("[", charactersMax + 1))).toBe(
      "f:1:1: The file has 1048577 characters and at most 1048576 are read: is this the right file?",
    );
  });

  test("a megabyte of brackets has too many tokens", () => {
    expect(firstMessage(filled("[{", charactersMax))).toBe(
      `f:1:1: The file has more than ${tokensMax} YAML tokens, far more than a job needs: is this the right file?`,
    );
  });

  test("a megabyte of one word is one value", () => {
    expect(firstMessage(filled("x", charactersMax))).toBe(
      `f:1:1: The file holds a text of 1048576 characters, and no program can be handed more than ${textMax}: shorten it.`,
    );
  });

  test("brackets within the limit of tokens nest too deep", () => {
    expect(firstMessage(filled("[", tokensMax - 1))).toMatch(/^f:1:\d+: The file nests lists/);
  });

  test.each([
    ["aliases of lists", bomb((aliases) => `[${aliases}]`)],
    ["merge keys", bomb((aliases) => `{<<: [${aliases}]}`)],
  ])("a bomb of %s stops at the limit of values", (_, text) => {
    const parsed = parseConfig(text, { file: "f" });
    expect(parsed.ok ? [] : parsed.issues.map(({ message }) => message)).toEqual([
      `The file has more than ${valuesMax} values once its aliases are expanded: write fewer aliases (*name) of large blocks.`,
    ]);
  });

  test("files that Temporal could not carry for both roles are refused", () => {
    const files = [1, 2, 3].map((at) => `f${at}: ${filled("x", 100_000)}`).join(", ");
    expect(firstMessage(job({ 6: `  params: {model: m}\n  files: {${files}}` }))).toBe(
      "f:1:1: The job's description takes 587 KiB, those of general counted for both roles, and 512 KiB can be kept with it in Temporal. Put long files into a folder that is sent with `upload`.",
    );
  });

  test("a command full of placeholders is judged", () => {
    const command = filled("$PREFILX_HOST_1 {PROT} ", textMax - 1);
    expect(firstMessage(job({ 3: `scheduler: {command: '${command}'}` }))).toMatch(
      /holds \{PROT\}/,
    );
  });

  test.each([
    ["blanks", filled("\n", 120_000)],
    ["what begins like references", filled("- env:A B\n", 120_000)],
  ])("a file full of %s is read in one go", (_, text) =>
    expectCheap(job({ 5: `general:\n  files: {a: ${JSON.stringify(text)}}` })),
  );

  test.each([
    ["flags of one mapping", numbered("--speculative-config.a", textMax - 20)],
    ["one flag's keys", `--speculative-config${filled(".a", textMax - 40)}=1`],
    ["brackets", `--speculative-config=${filled("[", 60_000)}${filled("]", 60_000)}`],
    ["brackets in a key", `-sc.a=${filled("[", 60_000)}${filled("]", 60_000)}`],
  ])("extra arguments full of %s are left to the engine", (_, extra) =>
    expectCheap(job({ 6: `  params: {model: m, _extra_params: ${JSON.stringify(extra)}}` })),
  );

  test("a kv_transfer_config full of brackets is judged", () => {
    const nested = `{"kv_connector":"NixlConnector","kv_role":"kv_producer","kv_rank":${filled("[", 50_000)}${filled("]", 50_000)}}`;
    expect(firstMessage(job({ 10: `  params: {kv_transfer_config: '${nested}'}` }))).toBe(
      "f:10:32 prefill.params.kv_transfer_config: nests more than 40 deep: flatten it.",
    );
  });
});

describe("parseConfig never throws, and always answers with places in the file", () => {
  const answersWithPlaces = (text: string): void => {
    const parsed = parseConfig(text, { file: "f" });
    const lines = text.split("\n");
    const issues = parsed.ok ? parsed.warnings : parsed.issues;
    if (!parsed.ok) expect(issues.some(({ severity }) => severity === "error")).toBe(true);
    for (const { line, col } of issues) {
      expect(line).toBeGreaterThanOrEqual(1);
      expect(line).toBeLessThanOrEqual(lines.length);
      expect(col).toBeGreaterThanOrEqual(1);
      expect(col).toBeLessThanOrEqual((lines[line - 1] ?? "").length + 1);
    }
  };

  test("on any text", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 300 }), answersWithPlaces));
  });

  test("on texts made of what YAML gives a meaning to", () => {
    const unit = fc.constantFrom(
      ..."{}[],:?-&*!|>'\"%@`#~ \n\ta1.<{}",
      "<<: ",
      "*a",
      "&a ",
      "---\n",
    );
    fc.assert(
      fc.property(fc.array(unit, { maxLength: 120 }), (parts) => answersWithPlaces(parts.join(""))),
      {
        numRuns: 500,
      },
    );
  });

  test("on a valid file with a piece cut out, doubled or replaced", () => {
    const text = job();
    const at = fc.nat(text.length);
    const change = fc.constantFrom(
      "",
      "'",
      '"',
      "{",
      "}",
      ": ",
      "\n",
      "&a ",
      "*a",
      "\\",
      "$",
      "\0",
    );
    fc.assert(
      fc.property(at, fc.nat(40), change, fc.boolean(), (start, length, put, again) => {
        const piece = text.slice(start, start + length);
        answersWithPlaces(
          `${text.slice(0, start)}${put}${again ? piece + piece : ""}${text.slice(start + length)}`,
        );
      }),
      { numRuns: 500 },
    );
  });

  test("on a valid file with any value in any place", () => {
    const lines = fc.integer({ min: 1, max: 14 });
    fc.assert(
      fc.property(lines, fc.jsonValue({ maxDepth: 3 }), (line, value) => {
        const key = /^ *\w+/.exec(job().split("\n")[line - 1]!)?.[0] ?? "";
        answersWithPlaces(job({ [line]: `${key}: ${JSON.stringify(value)}` }));
      }),
      { numRuns: 500 },
    );
  });
});
