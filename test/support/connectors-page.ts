import type { Connector, HandOver, Need } from "../../src/domain/connectors/connector.ts";
import { changedKeys, connectorTable } from "../../src/domain/connectors/table.ts";
import { newestKnown, oldestKnown } from "../../src/domain/connectors/version.ts";
import type { Releases } from "../../src/domain/connectors/version.ts";

/** docs/connectors.md, all of it made from the table that renders and checks. */
export const connectorsPage = (): string =>
  [
    intro,
    summary(),
    handOvers,
    `## KVTransferConfig\n\n${keys()}`,
    ...connectorTable.toSorted(byName).map(section),
  ].join("\n\n") + "\n";

const intro = `# KV connectors

Made from the table in \`src/domain/connectors\`, which also renders and checks: \`npx vitest run test/domain/page.test.ts -u\` writes it anew.
It holds the connectors of vLLM ${oldestKnown} to ${newestKnown}; newer engines are taken for ${newestKnown}. Which of them an engine has depends on its
version. Out-of-tree connectors (\`kv_connector_module_path\`) pass through as they are: for them nothing is rendered, renamed or refused.

What the table renders is given to each start of a replica unless you have set that very variable or key. Ports are free ones of the node, other
ones for each start. DP, TP and PP are the replica's data, tensor and pipeline parallel sizes. Files are written to the folder \`{FILES}\` before the
engine starts; a file of the same name under \`files\` takes the place of the rendered one, and a variable that you set yourself means that you bring
your own. Placeholders: [config.md](config.md#placeholders).

## Which version

Before anything is reserved, the step \`probeEngine\` asks the nodes that could hold a replica, up to 8 of them, for the version of \`engine.command\`:
where its program is an installed script (as \`vllm\` is), that script's Python for the metadata of vLLM, which takes a moment; otherwise the command
without its \`serve\` with \`--version\`, in the engines' environment. Answers count for 10 minutes for every job with the same command, but no job is refused by an earlier one: then
the nodes are asked anew, and again at its next start. A connector that this
version does not have, and a key that it does not know yet, end the job there; a connector that it knows by another name is written so, and the job's
events say it. An engine that cannot tell its version (a command that does not end in \`serve\`, an error) is taken for ${newestKnown}, or for what
\`engine.version\` says, and the events say that too. When nodes differ the oldest counts. Without a cluster, \`pdjob-client validate\` and \`plan\`
take \`--vllm-version\`.

## What is refused

By \`validate\`, \`plan\` and \`start\`, before a GPU is taken: params of the two roles that their connector needs alike and that differ (\`model\`, even as two
paths to the same files, \`dtype\`, \`block_size\` and so on, below for each connector), tensor parallel sizes that it cannot bring together, an \`engine_id\` that
is not new for each start where peers remember it, or one in a child of MultiConnector, a side channel bound to every address, and a setting or variable that only you
can know. A param of one role alone may be what vLLM chooses for the other, and is warned of. A side channel on \`localhost\` is warned of, and refused once
the nodes are known to be several (by \`probeEngine\`, and \`plan --nodes\`). What \`_extra_params\`
say is compared like \`params\`, over which it has the last word; what holds a placeholder is not compared. Spellings do not matter (\`half\` and \`float16\`, \`-tp 2\` and
\`tensor_parallel_size: 2\`, JSON and a mapping), but for \`kv_cache_dtype\`, which NIXL hashes as text: \`fp8\` and \`fp8_e4m3\` differ there.

Each child of MultiConnector is judged as if it stood alone, and told of with its place (\`….kv_connector_extra_config.connectors[1].kv_role\`): its keys, which
\`kv_role\` is one of, as vLLM makes a KVTransferConfig of it; its name, in the engines' version; its side, what the proxy must do for it, what it needs
set, and what it needs alike in both roles. Both roles must hand KV over by the same child, and two children that would listen at the same ports of an
engine (NixlConnector twice) are refused.`;

const handOvers = `## How KV is handed over

| way | what the proxy does | built-in proxy |
|---|---|---|
| params | asks prefill, takes \`kv_transfer_params\` from its answer, gives them to decode | yes |
| store | asks prefill, then decode, and hands nothing over | yes, with \`--hand-over store\`, which pdjob sets |
| concurrent | asks both at once, with ids that it makes up | no: give \`scheduler.command\` |
| registering | takes the engines' registrations and writes their addresses into the request's id | no: give \`scheduler.command\` |
| notifying | waits for prefill's notice before it asks decode | no: give \`scheduler.command\` |

MultiConnector's way is that of the child that asks most of the proxy.`;

const summary = (): string =>
  [
    "| connector | vLLM | hands KV over | checked |",
    "|---|---|---|---|",
    ...connectorTable
      .toSorted(byName)
      .map(
        (one) =>
          `| [${one.name}](#${one.name.toLowerCase()})${one.formerly ? `, before ${one.formerly.until} ${one.formerly.name}` : ""} | ${releases(one)} | ${ways(one)} | ${one.checked} |`,
      ),
  ].join("\n");

const keys = (): string =>
  [
    "The engine refuses a key that its release does not have. Keys that are gone were read by no connector and are left out for such an engine; a key that",
    "is not there yet is refused before anything starts.",
    "",
    "| key | vLLM |",
    "|---|---|",
    ...Object.entries(changedKeys).map(([key, span]) => `| \`${key}\` | ${releases(span)} |`),
  ].join("\n");

function section(one: Connector): string {
  const facts: readonly (readonly [string, string])[] = [
    ["vLLM", releases(one)],
    ["Hands KV over", ways(one)],
    ["Proxies", [builtin(one), ...one.proxies].filter(Boolean).join(", ")],
    ["Before it starts", one.before.join("; ")],
    ["Order", one.order],
    [
      "You must set",
      Object.entries(one.asks)
        .map(([key, what]) => `\`kv_connector_extra_config.${key}\`: ${what}`)
        .join("; "),
    ],
    ["The same in both roles", one.alike.map((trait) => `\`${trait}\``).join(", ")],
    ["`block_size` of decode", one.blocksMayBeLarger ? "a multiple of prefill's" : ""],
    [
      "`tensor_parallel_size` of the roles",
      one.tensorParallel.map((row) => spanned(row, sizes[row.rule])).join("; "),
    ],
    ["Engine ids", one.remembersEngines ? "remembered by peers: never the same twice" : ""],
    ["Checked", one.checked],
  ];
  return [
    `## ${one.name}`,
    `${one.about}.`,
    [
      "| | |",
      "|---|---|",
      ...facts.filter(([, text]) => text).map(([key, text]) => `| ${key} | ${text} |`),
    ].join("\n"),
    ...(one.needs.length > 0
      ? ["Rendered:", ["```", ...one.needs.flatMap(needLines), "```"].join("\n")]
      : []),
  ].join("\n\n");
}

const sizes = {
  any: "any",
  equal: "equal",
  ratio: "one divides the other",
  one: "1",
} as const;

const servedByBuiltin: ReadonlySet<HandOver> = new Set<HandOver>(["params", "store"]);

const builtin = ({ handOver = [] }: Connector): string =>
  handOver
    .filter(({ kind }) => servedByBuiltin.has(kind))
    .map((row) => spanned(row, "built-in"))
    .join(", ");

const ways = ({ name, handOver = [] }: Connector): string =>
  handOver.map((row) => spanned(row, row.kind)).join(", ") ||
  (name === "MultiConnector" ? "as its children do" : "no");

function needLines(need: Need): readonly string[] {
  const where = [
    need.role ?? "both roles",
    (need.since ?? need.until) ? `vLLM ${releases(need)}` : "",
    need.handsOver ? "where it is the one that hands KV over" : "",
  ];
  const { env = {}, config = {}, extra = {}, engineId, file } = need;
  return [
    `# ${where.filter(Boolean).join(", ")}`,
    ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
    ...(engineId === undefined ? [] : [`engine_id: "${engineId}"`]),
    ...Object.entries(config).map(([key, value]) => `${key}: "${value}"`),
    ...Object.entries(extra).map(([key, value]) => `kv_connector_extra_config.${key}: "${value}"`),
    ...(file
      ? [
          `${file.variable}={FILES}/${file.name}, with`,
          ...file.text
            .trimEnd()
            .split("\n")
            .map((line) => `  ${line}`),
          ...Object.entries(file.settings).map(
            ([name, value]) =>
              `  where {${name}} is your variable ${name}, ${value === undefined ? "which you must set" : `else "${value}"`}`,
          ),
        ]
      : []),
    ...(need.fresh ? [`emptied by a job's first engine: {WORK_DIR}/${need.fresh.folder}`] : []),
  ];
}

const releases = ({ since, until }: Releases): string =>
  since === undefined
    ? until === undefined
      ? "all"
      : `before ${until}`
    : until === undefined
      ? `${since} and newer`
      : `${since} to before ${until}`;

const spanned = (row: Releases, text: string): string =>
  row.since === undefined && row.until === undefined ? text : `${text} (${releases(row)})`;

const byName = (a: Connector, b: Connector): number =>
  a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1;
