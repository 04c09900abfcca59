import { describe, expect, test } from "vitest";
import { formatIssue, parseConfig } from "../../src/config/parse.ts";
import { childrenCases } from "./cases-children.ts";
import { connectorsCases, versionCases, versionWarnings } from "./cases-connectors.ts";
import { filesCases, soundFiles } from "./cases-files.ts";
import { fitCases, fitWarnings, fitting } from "./cases-fit.ts";
import { membershipCases } from "./cases-membership.ts";
import { rulesCases } from "./cases-rules.ts";
import { schedulerCases } from "./cases-scheduler.ts";
import { shapeCases } from "./cases-shape.ts";
import { warningsCases } from "./cases-warnings.ts";
import { yamlCases } from "./cases-yaml.ts";
import { job } from "./job.ts";
import type { Case } from "./job.ts";

const refused: Readonly<Record<string, readonly Case[]>> = {
  "no YAML mapping": yamlCases,
  "keys and values": shapeCases,
  "rules over several keys": rulesCases,
  proxies: schedulerCases,
  "way of telling its proxy": membershipCases,
  connectors: connectorsCases,
  "children of MultiConnector": childrenCases,
  "files for its engines": filesCases,
  "engines' version": versionCases,
  "engines that do not fit each other": fitCases,
};

describe.each(Object.entries(refused))("a file is refused for its %s", (_, cases) => {
  test.each(cases)("$name", ({ text, messages }) => {
    const parsed = parseConfig(text, { file: "job.yaml" });
    expect(parsed.ok ? [] : parsed.issues.map(formatIssue)).toEqual(messages);
  });
});

describe("a file is accepted with a warning", () => {
  test.each([...warningsCases, ...versionWarnings, ...fitWarnings])(
    "$name",
    ({ text, messages }) => {
      const parsed = parseConfig(text, { file: "job.yaml" });
      expect(parsed.ok ? parsed.warnings.map(formatIssue) : parsed.issues).toEqual(messages);
    },
  );
});

test.each([...fitting, ...soundFiles])("nothing is said of $name", ({ text }) => {
  expect(parseConfig(text, { file: "job.yaml" })).toMatchObject({ ok: true, warnings: [] });
});

test("the job that all cases start from has no fault of its own", () => {
  expect(parseConfig(job(), { file: "job.yaml" })).toMatchObject({ ok: true, warnings: [] });
});

test("no message repeats a value that may be a secret", () => {
  const secret = "hf_abcdefghijklmnop";
  const everywhere = [
    job({ 4: `envs: {HF_TOKEN: ${secret}, B: 'env: ${secret}', C: ["${secret}"]}` }),
    job({ 1: `num_gpus: ${secret}`, 2: `working_dir: ${secret}`, 3: `scheduler: ${secret}` }),
    job({ 3: `scheduler: {membership: ${secret}, command: "proxy '${secret}"}` }),
    job({ 6: `  params: {model: m, api_key: ${secret}, _extra_params: "'${secret}"}` }),
    job({ 10: `  params: {kv_transfer_config: '{"kv_connector":${secret}}'}` }),
    job({
      10: `  params: {kv_transfer_config: {kv_connector: NixlConnector, kv_role: ${secret}}}`,
    }),
    job({ 4: `envs: {HF_TOKEN: "${secret}\\q"}` }),
    job({ 4: `envs: {HF_TOKEN: !${secret} x}` }),
    job({ 4: `envs: {HF_TOKEN: "a" ${secret}}` }),
    job({ 4: `envs: {HF_TOKEN: |${secret}}` }),
  ];
  for (const text of everywhere) {
    const parsed = parseConfig(text, { file: "job.yaml" });
    const messages = (parsed.ok ? parsed.warnings : parsed.issues).map(formatIssue);
    expect(messages).not.toEqual([]);
    expect(messages.join("\n")).not.toContain(secret);
  }
});

test("a name given apart from the file is checked like one in the file", () => {
  const parsed = parseConfig(job(), { file: "job.yaml", name: "Not Legal" });
  expect(parsed.ok ? [] : parsed.issues.map(formatIssue)).toEqual([
    "job.yaml:1:1 name: was given apart from the file, and must be 1 to 40 lower-case letters, digits and inner dashes.",
  ]);
});

test("a file with hundreds of faults is answered with the first hundred", () => {
  const variables = Array.from({ length: 300 }, (_, at) => `A-${at}: x`).join(", ");
  const parsed = parseConfig(job({ 4: `envs: {${variables}}` }), { file: "job.yaml" });
  const messages = parsed.ok ? [] : parsed.issues.map(formatIssue);
  expect(messages).toHaveLength(101);
  expect(messages.at(-1)).toBe(
    `job.yaml:4:${
      1 +
      job({ 4: `envs: {${variables}}` })
        .split("\n")[3]!
        .indexOf("A-99:")
    }: There are more problems than these: repair these first.`,
  );
});
