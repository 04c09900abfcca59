import { readFileSync, readdirSync } from "node:fs";
import { Command } from "commander";
import { describe, expect, test } from "vitest";
import { addLogs } from "../../src/cli/logs.ts";
import { addPlan, planOf } from "../../src/cli/plan.ts";
import { addScale } from "../../src/cli/scale.ts";
import { addStart } from "../../src/cli/start.ts";
import { addStatus } from "../../src/cli/status.ts";
import { addStop } from "../../src/cli/stop.ts";
import { addValidate } from "../../src/cli/validate.ts";
import { formatIssue, parseConfig } from "../../src/config/parse.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { seedGuide } from "../support/seed-guide.ts";
import * as rows from "../support/seed-rows.ts";

const folder = "test/fixtures/seed";
const read = (file: string): string => readFileSync(`${folder}/${file}`, "utf8");
/** Everything that `vllm pdjob` documents, taken from its README. */
const reference = JSON.parse(read("reference.json")) as {
  readonly [
    K in
      | "options"
      | "usedInExamples"
      | "commandPlaceholders"
      | "paramPlaceholders"
      | "connectors"
      | "steps"
      | "troubleshooting"
      | "debugging"
  ]: readonly string[];
} & { readonly fields: Readonly<Record<string, readonly string[]>> };

function specOf(text: string, file = "job.yaml"): JobSpec {
  const parsed = parseConfig(text, { file });
  if (!parsed.ok) throw new Error(parsed.issues.map(formatIssue).join("\n"));
  return parsed.spec;
}

test("docs/from-vllm-pdjob.md is current (else: npx vitest run test/config/seed-guide.test.ts -u)", async () => {
  await expect(seedGuide()).toMatchFileSnapshot("../../docs/from-vllm-pdjob.md");
});

describe("the guide has everything that vllm pdjob documents", () => {
  const fields = rows.fields.flatMap(({ seed }) => seed.split(", "));

  test.each(Object.entries(reference.fields))("fields of %s", (section, keys) => {
    const prefixes = section === "top level" ? [""] : section.split(", ").map((one) => `${one}.`);
    const wanted = prefixes.flatMap((prefix) => keys.map((key) => `${prefix}${key}`));
    // What is inside params is the same in both roles and in general.
    const isTold = (path: string): boolean =>
      fields.includes(path) ||
      fields.includes(path.replace(/^(prefill|decode)\.params\./, "params."));
    expect(wanted.filter((path) => !isTold(path))).toEqual([]);
  });

  test("fields that its examples use", () =>
    expect(reference.usedInExamples.filter((path) => !fields.includes(path))).toEqual([]));

  test("placeholders", () => {
    const told = rows.placeholders.map(({ seed, where }) => `${where} ${seed}`);
    const wanted = [
      ...reference.commandPlaceholders.map((one) => `\`scheduler.command\` ${one}`),
      ...reference.paramPlaceholders.map((one) => `\`params\`, \`kv_transfer_config\` ${one}`),
    ];
    expect(told.toSorted(byText)).toEqual(wanted.toSorted(byText));
  });

  test("connectors, steps and troubleshooting, in its order", () => {
    expect(rows.connectors.map(({ seed }) => seed)).toEqual(reference.connectors);
    expect(rows.steps.map(({ seed }) => seed).filter((seed) => !seed.startsWith("("))).toEqual(
      reference.steps,
    );
    expect(rows.troubles.map(({ seed }) => seed)).toEqual(reference.troubleshooting);
  });

  test("options and ways to look closer", () => {
    const options = rows.commands.map(({ seed }) => seed).join(" ");
    expect(reference.options.filter((one) => !options.includes(one))).toEqual([]);
    const closer = rows.debugging.map(({ seed }) => seed).join(" ");
    expect(reference.debugging.filter((one) => !closer.includes(one))).toEqual([]);
  });
});

describe("what the guide shows exists", () => {
  test("verbs and flags", () => {
    const program = new Command();
    for (const add of [addStart, addValidate, addPlan, addStatus, addScale, addLogs, addStop])
      add(program);
    const shown = rows.commands
      .flatMap(({ here }) => here)
      .filter((line) => line.startsWith("pdjob-client "));
    for (const line of shown) {
      const [, name, ...words] = line.split(" ");
      const verb = program.commands.find((one) => one.name() === name);
      const flags = verb?.options.map(({ long }) => long) ?? [];
      expect([line, verb?.name()]).toEqual([line, name]);
      expect(words.filter((word) => word.startsWith("--") && !flags.includes(word))).toEqual([]);
    }
    expect(shown.length).toBeGreaterThan(5);
  });

  test("placeholders of scheduler.command, in the singular and in the plural", () => {
    const words = rows.placeholders
      .filter(({ where }) => where === "`scheduler.command`")
      .flatMap(({ here }) => here.map((one) => one.replace(/_N$/, "_1")));
    const { proxy } = planOf(
      specOf(read("quick-start.yaml").replace(/command: .*/, `command: p ${words.join(" ")}`)),
    );
    expect(proxy.argv).toHaveLength(1 + words.length);
    expect(proxy.argv.filter((word) => /[${}]/.test(word))).toEqual([]);
  });

  test("placeholders of params", () => {
    const text = rows.placeholders
      .filter(({ where }) => where !== "`scheduler.command`")
      .flatMap(({ here }) => here)
      .join(" ");
    const spec = specOf(read("quick-start.yaml").replace("my_model", `'${text}'`));
    const argv = planOf(spec).replicas[1]?.argv ?? [];
    expect(argv[argv.indexOf("--served-model-name") + 1]).toBe(
      "<decode-0.host> <decode-0.port> <prefill-0.host> quick-start-decode-0-g1".replace(
        "quick-start",
        "job",
      ),
    );
  });

  test("examples", () => {
    const files = readdirSync(folder).filter((file) => file.endsWith(".yaml"));
    expect(rows.examples.map(({ file }) => file).toSorted(byText)).toEqual(files.toSorted(byText));
  });
});

describe("the examples of vllm pdjob", () => {
  test("the quick start plans what it was written for", () => {
    const { replicas, proxy } = planOf(specOf(read("quick-start.yaml")));
    expect(replicas.map(({ name, bundles }) => [name, bundles])).toEqual([
      ["prefill-0", [{ GPU: 8 }]],
      ["decode-0", [{ GPU: 8 }]],
    ]);
    expect(replicas[0]?.argv.join(" ")).toBe(
      'vllm serve /path/to/your/model --host <prefill-0.host> --port <prefill-0.port> --served-model-name my_model --tensor-parallel-size 8 --kv-transfer-config {"kv_connector":"NixlConnector","kv_role":"kv_producer"} --trust-remote-code',
    );
    expect(replicas[1]?.argv.join(" ")).toContain(
      "--tensor-parallel-size 1 --data-parallel-size 8",
    );
    expect(replicas[1]?.env).toMatchObject({ VLLM_ATTENTION_BACKEND: "FLASHMLA" });
    expect(proxy.argv.join(" ")).toBe(
      "python toy_proxy_server.py --port 8021 --prefiller-hosts <prefill-0.host> --prefiller-ports <prefill-0.port> --decoder-hosts <decode-0.host> --decoder-ports <decode-0.port>",
    );
  });

  test("two of each behind toy_proxy_server.py", () =>
    expect(
      planOf(specOf(read("toy-proxy.yaml")))
        .proxy.argv.slice(2)
        .join(" "),
    ).toBe(
      "--port 8021 --prefiller-hosts <prefill-0.host> <prefill-1.host> --prefiller-ports <prefill-0.port> <prefill-1.port> --decoder-hosts <decode-0.host> <decode-1.host> --decoder-ports <decode-0.port> <decode-1.port>",
    ));

  test("two of each behind a proxy that cargo starts", () =>
    expect(planOf(specOf(read("cargo-proxy.yaml"))).proxy.argv.join(" ")).toBe(
      "cargo run --release -- --policy consistent_hash --vllm-pd-disaggregation --prefill http://<prefill-0.host>:<prefill-0.port> --prefill http://<prefill-1.host>:<prefill-1.port> --decode http://<decode-0.host>:<decode-0.port> --decode http://<decode-1.host>:<decode-1.port> --host 0.0.0.0 --port 8021",
    ));

  test("as it was printed, each elision is pointed at and nothing else is wrong", () => {
    const parsed = parseConfig(read("as-printed.yaml"), { file: "config.yaml" });
    expect(parsed.ok ? [] : parsed.issues.map(formatIssue)).toEqual([
      "config.yaml:31:25 prefill.params.kv_transfer_config: is not JSON: replace the ... by real keys, or remove it with the comma before it.",
      "config.yaml:42:25 decode.params.kv_transfer_config: is not JSON: replace the ... by real keys, or remove it with the comma before it.",
    ]);
  });

  test.each(reference.connectors)("%s is a connector that is known here", (name) => {
    const text = read("quick-start.yaml").replaceAll("NixlConnector", name);
    const parsed = parseConfig(text, { file: "config.yaml" });
    const unknown = parsed.ok
      ? []
      : parsed.issues.filter(({ message }) => message.includes("which vLLM does not have"));
    expect(unknown).toEqual([]);
  });
});

const byText = (a: string, b: string): number => (a < b ? -1 : 1);
