import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { configJsonSchema } from "../../src/config/json-schema.ts";
import { keysAt } from "../../src/config/keys.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { connectorNames } from "../../src/domain/connectors/table.ts";

const examples = readdirSync("examples").filter((name) => /\.ya?ml$/.test(name));

/** Every key of the file with its path, role keys once. */
function allKeys(path: readonly string[] = []): readonly string[] {
  return keysAt(path)
    .filter((key) => key !== "decode" || path.length > 0)
    .flatMap((key) => [[...path, key].join("."), ...allKeys([...path, key])]);
}

interface JsonSchema {
  readonly description?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly anyOf?: readonly JsonSchema[];
}

function schemaOf(path: string): JsonSchema | undefined {
  return path.split(".").reduce<JsonSchema | undefined>((schema, key) => {
    const choices = schema === undefined ? [] : [schema, ...(schema.anyOf ?? [])];
    return choices
      .flatMap((choice) => [choice, ...(choice.anyOf ?? [])])
      .find(({ properties }) => properties?.[key] !== undefined)?.properties?.[key];
  }, configJsonSchema() as JsonSchema);
}

test("the JSON Schema for editors is current (else: npx vitest run test/config/schema.test.ts -u)", async () => {
  const text = `${JSON.stringify(configJsonSchema(), null, 2)}\n`;
  await expect(text).toMatchFileSnapshot("../../schema/pdjob.schema.json");
});

test("every key has a description for editors to show", () => {
  const bare = allKeys().filter((path) => schemaOf(path)?.description === undefined);
  expect(allKeys().length).toBeGreaterThan(40);
  expect(bare).toEqual([]);
});

describe("docs/config.md", () => {
  const page = readFileSync("docs/config.md", "utf8");

  test("has a row for every key", () => {
    // Roles share their keys, and so do the requests.
    const keyOf = (path: string): string =>
      path
        .replace(/^prefill\./, "")
        .replace(/^(?:general\.)?params\./, "params.")
        .replace(
          /^(scheduler\.http)\.(?:(?:add|remove)\.(?:(?:prefill|decode)\.)?|list\.)/,
          "$1.add.",
        );
    const missing = allKeys().filter((path) => !page.includes(`| \`${keyOf(path)}\` |`));
    expect(missing).toEqual([]);
  });

  test("shows the defaults that count", () => {
    const cells = new Map(
      [...page.matchAll(/^\| `([\w.]+)` \| `?([^|`]*)`? \|/gm)].map(
        ([, key = "", cell = ""]) => [key, cell.trim()] as const,
      ),
    );
    const defaults = allKeys().flatMap((path) => {
      const value = schemaOf(path)?.default;
      const isPlain = typeof value === "number" || typeof value === "string";
      return isPlain ? [[path, String(value)] as const] : [];
    });
    expect(defaults.length).toBeGreaterThan(10);
    expect(defaults.filter(([key, value]) => cells.get(key) !== value)).toEqual([]);
  });

  test("names every known connector", () => {
    expect(connectorNames.filter((name) => !page.includes(name))).toEqual([]);
  });
});

describe("examples/", () => {
  test("holds the seed's own file among others", () => {
    expect(examples).toEqual(
      expect.arrayContaining([
        "built-in-proxy.yaml",
        "external-proxy.yaml",
        "proxy-file.yaml",
        "proxy-http.yaml",
        "quickstart.yaml",
        "seed.yaml",
        "vllm-cpu.yaml",
      ]),
    );
  });

  test("the README's job is valid, without a warning", () => {
    const [, text = ""] = /```yaml\n(name: .*?)```/s.exec(readFileSync("README.md", "utf8")) ?? [];
    const parsed = parseConfig(text, { file: "README.md" });
    expect(parsed.ok ? parsed.warnings : parsed.issues).toEqual([]);
    expect(parsed.ok && parsed.spec.name).toBe("demo");
  });

  test.each(examples)("%s is valid, without a warning", (name) => {
    const parsed = parseConfig(readFileSync(`examples/${name}`, "utf8"), { file: name });
    expect(parsed).toMatchObject({ ok: true, warnings: [] });
  });

  test("seed.yaml means what it meant to its authors", () => {
    const parsed = parseConfig(readFileSync("examples/seed.yaml", "utf8"), { file: "seed.yaml" });
    expect(parsed.ok && parsed.spec).toMatchObject({
      timeoutS: 3600,
      numGpus: 16,
      workingDir: "/tmp/vllm",
      scheduler: { port: 8021, membership: "restart" },
      roles: {
        prefill: {
          numGpus: 8,
          envs: { VLLM_ATTENTION_BACKEND: "FLASHMLA" },
          params: { served_model_name: "my_model", tensor_parallel_size: 8 },
          model: "/path/to/your/model",
          extraArgs: ["--trust-remote-code"],
        },
        decode: {
          params: { served_model_name: "my_model", tensor_parallel_size: 1, data_parallel_size: 8 },
          kvTransfer: { kv_connector: "NixlConnector", kv_role: "kv_consumer" },
        },
      },
    });
  });

  test("quickstart.yaml runs simulated engines: two of each role, two GPUs each", () => {
    const text = readFileSync("examples/quickstart.yaml", "utf8");
    const parsed = parseConfig(text, { file: "quickstart.yaml" });
    const role = { numGpus: 2, replicas: 2, model: "sim/tiny" };
    expect(parsed.ok && parsed.spec).toMatchObject({
      name: "quickstart",
      engineCommand: ["pdjob-sim-engine", "serve"],
      scheduler: { port: 8021, membership: "builtin" },
      roles: { prefill: role, decode: role },
    });
  });
});
