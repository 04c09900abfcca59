import { absence, findConnector } from "../../src/domain/connectors/table.ts";
import { configJsonSchema } from "../../src/config/json-schema.ts";
import { keysAt } from "../../src/config/keys.ts";
import {
  commands,
  connectors,
  debugging,
  examples,
  fields,
  placeholders,
  steps,
  troubles,
} from "./seed-rows.ts";
import type { FieldRow } from "./seed-rows.ts";

/** docs/from-vllm-pdjob.md: rows that people wrote, beside what the schema and the connector table say of each. */
export const seedGuide = (): string =>
  [
    intro,
    `## Commands\n\n${table(
      ["`vllm pdjob`", "here", ""],
      commands.map(({ seed, here, note }) => [seed, code(here), note]),
    )}`,
    `## Configuration\n\nYour file works as it is. Type, default and meaning are those of the schema; all keys are in [config.md](config.md).\n\n${table(
      ["`vllm pdjob`", "its words", "here", "meaning", "what is different"],
      fields.map(fieldRow),
    )}`,
    `### Only here\n\nAll optional:\n\n${table(
      ["key", "meaning"],
      ownKeys().map((path) => [`\`${path}\``, described(path)]),
    )}`,
    `## Placeholders\n\n${table(
      ["`vllm pdjob`", "where", "here", "what is different"],
      placeholders.map(({ seed, where, here, note }) => [code([seed]), where, code(here), note]),
    )}`,
    `## KV connectors\n\n${table(
      ["`vllm pdjob`", "here", "vLLM", "note"],
      connectors.map(connectorRow),
    )}`,
    `## What happens when\n\nHere every step is an activity of the job's workflow, by this name in Temporal's Web UI; \`pdjob-client plan\` lists them beforehand.\n\n${table(
      ["`vllm pdjob`", "here", "what is different"],
      steps.map(({ seed, here, note }) => [seed, code(here), note]),
    )}`,
    `## Examples\n\n${examples.map(({ file, text }) => `- [${file}](../test/fixtures/seed/${file}): ${text}`).join("\n")}\n\nEach is validated and planned by a test; [examples/seed.yaml](../examples/seed.yaml) also runs in one.`,
    `## Troubleshooting\n\n${table(
      ["`vllm pdjob`", "code here", "what it says", "what to do"],
      troubles.map(({ seed, codes, says, todo }) => [`"${seed}"`, code(codes), says, todo]),
    )}\n\n${table(
      ["to look closer", "here"],
      debugging.map(({ seed, here }) => [seed, here]),
    )}`,
  ].join("\n\n") + "\n";

const intro = `# Coming from \`vllm pdjob\`

The job file of \`vllm pdjob\` (the proposal for vLLM that this project grew from) runs unchanged:

\`\`\`
vllm pdjob --config=config.yaml          # before
pdjob-client start config.yaml           # now; needs a Temporal server and a worker, see the README
\`\`\`

The job no longer ends with the command that started it. It lives on in Temporal, is healed and scaled, and ends by \`pdjob-client stop\`.

The tables are made from the schema, the connector table and the rows in \`test/support/seed-rows.ts\`; \`npx vitest run test/config/seed-guide.test.ts -u\`
writes them anew.`;

const code = (words: readonly string[]): string => words.map((word) => `\`${word}\``).join(", ");

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => "---"), ...rows]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`)
    .join("\n");

const fieldRow = ({ seed, type, says, here, note }: FieldRow): readonly string[] => [
  `\`${seed}\` (${type})`,
  says,
  code([here]),
  described(here),
  note,
];

function connectorRow({ seed, note }: (typeof connectors)[number]): readonly string[] {
  const connector = findConnector(seed);
  if (!connector) throw new Error(`${seed} is not in the table`);
  const { name, since, until } = connector;
  const releases = [since && `${since} and newer`, until && `before ${until}`].filter(Boolean);
  const link = `[${name}](connectors.md#${name.toLowerCase()})`;
  const gone = absence(connector, undefined);
  return [
    `\`${seed}\``,
    link,
    releases.join(", ") || "all",
    [note, gone].filter(Boolean).join(" "),
  ];
}

interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly anyOf?: readonly JsonSchema[];
}

/** What the schema says of a key: its meaning, and its default or that it is needed. */
export function described(path: string): string {
  const keys = path.split(".");
  const parent = keys.slice(0, -1).reduce<JsonSchema>(childOf, configJsonSchema());
  const own = childOf(parent, keys.at(-1) ?? "");
  const needed = withProperties(parent).required?.includes(keys.at(-1) ?? "") ?? false;
  const fallback =
    typeof own.default === "string" || typeof own.default === "number"
      ? ` Default: ${own.default}.`
      : "";
  const text = own.description ?? "";
  return `${text}${fallback}${needed ? " Needed." : ""}`;
}

function childOf(schema: JsonSchema, key: string): JsonSchema {
  const child = withProperties(schema).properties?.[key];
  if (!child) throw new Error(`the schema has no key ${key}`);
  return child;
}

/** A mapping that may also be empty is a choice of two. */
function withProperties(schema: JsonSchema): JsonSchema {
  const choices = [schema, ...(schema.anyOf ?? [])];
  return (
    choices.flatMap((one) => [one, ...(one.anyOf ?? [])]).find((one) => one.properties) ?? schema
  );
}

/** What is deeper is alike for each request to a proxy, and in config.md. */
const keysDeepMax = 3;

/** Keys that `vllm pdjob` does not have; of a section that is ours as a whole, its keys. */
function ownKeys(path: readonly string[] = []): readonly string[] {
  const known = new Set(fields.flatMap(({ here }) => prefixes(here)));
  return keysAt(path).flatMap((key) => {
    const at = [...path, key];
    const text = at.join(".");
    const isElsewhere =
      text === "decode" || text === "general" || text.startsWith("prefill.params");
    if (isElsewhere && !known.has(text)) return [];
    if (known.has(text)) return text.includes("params") ? [] : ownKeys(at);
    const below = at.length < keysDeepMax ? ownKeys(at) : [];
    return below.length > 0 ? below : [text];
  });
}

function prefixes(path: string): readonly string[] {
  const keys = path.split(".");
  return keys.map((_, at) => keys.slice(0, at + 1).join("."));
}
