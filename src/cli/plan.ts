import type { Command } from "commander";
import { actionKey } from "../domain/action.ts";
import { parseVersion } from "../domain/connectors/version.ts";
import type { Version } from "../domain/connectors/version.ts";
import { httpUrl, incarnationName, rankName, replicaName } from "../domain/names.ts";
import type { ObservedNode } from "../domain/observed.ts";
import { roles } from "../domain/role.ts";
import type { ReplicaId } from "../domain/role.ts";
import type { Bundle, JobSpec } from "../domain/spec.ts";
import { unplaced } from "../plan/packing.ts";
import { layoutOf } from "../plan/placement.ts";
import { sideChannelProblems } from "../plan/probe.ts";
import { rehearse } from "../plan/rehearse.ts";
import { connectorAdvice } from "../render/advice.ts";
import { renderEngine, unknownTarget } from "../render/engine.ts";
import type { EngineCommand, EngineTarget } from "../render/engine.ts";
import { renderProxy } from "../render/proxy.ts";
import { requireSpec } from "./config-file.ts";
import { readEndpoints } from "./endpoints.ts";
import type { Endpoints } from "./endpoints.ts";
import { Exit } from "./exit.ts";
import { readNodes } from "./node-list.ts";
import { columns, print, printJson, shellLine } from "./output.ts";
import { membershipOf, printMembership } from "./plan-membership.ts";
import { uploadNote, uploadPlanOf } from "./upload.ts";
import { versionOption, withVersion } from "./vllm-version.ts";
import type { VersionFlag } from "./vllm-version.ts";

/** What is said when nobody told the nodes. */
const assumption =
  "Each replica is taken to fit on one node. Give the nodes, such as --nodes 2x8, to see which ones span several.";

/** What `start` would do: bundles, the very commands, the steps. Needs no server and changes nothing. */
export function planOf(spec: JobSpec, endpoints: Endpoints = {}, nodes?: readonly ObservedNode[]) {
  const ids = roles.flatMap((role) =>
    Array.from({ length: spec.roles[role].replicas }, (_, index): ReplicaId => ({ role, index })),
  );
  const version = spec.engineVersion === undefined ? undefined : parseVersion(spec.engineVersion);
  const targets = ids.map((id) => targetOf(spec, id, endpoints, version));
  const members = targets.map(({ replica, generation, host, ports: { http, ...ports } }) => ({
    name: incarnationName(spec.name, replica, generation),
    role: replica.role,
    url: httpUrl(host, http),
    ports,
  }));
  const { builtin, argv } = renderProxy(spec, members);
  const left = nodes ? unplaced(spec, nodes) : [];
  return {
    job: spec.name,
    connectors: connectorAdvice(spec, version),
    replicas: targets.map((target) => {
      const { bundles, strategy } = layoutOf(spec, target.replica.role, nodes);
      return {
        name: replicaName(target.replica),
        ...target.replica,
        bundles,
        ...(bundles.length > 1 ? { strategy, ranks: ranksOf(spec, target, bundles.length) } : {}),
        ...renderEngine(spec, rankTarget(spec, target, { rank: 0, ranks: bundles.length })),
      };
    }),
    proxy: { builtin, argv, membership: membershipOf(spec, members) },
    steps: rehearse(spec, nodes).map((action) => ({
      step: actionKey(action),
      reason: action.reason,
    })),
    ...(left.length > 0
      ? { unplaced: left.map(({ replica, ...why }) => ({ name: replicaName(replica), ...why })) }
      : {}),
    ...(nodes ? {} : { note: assumption }),
  };
}

/** The commands of a gang, rank by rank; rank 0's is also the replica's own. */
const ranksOf = (spec: JobSpec, target: EngineTarget, ranks: number) =>
  Array.from({ length: ranks }, (_, rank) => ({
    rank,
    name: rankName(spec.name, target.replica, target.generation, rank),
    ...renderEngine(spec, rankTarget(spec, target, { rank, ranks })),
  }));

/** The target of one rank; addresses that were given are rank 0's. */
function rankTarget(
  spec: JobSpec,
  target: EngineTarget,
  gang: { readonly rank: number; readonly ranks: number },
): EngineTarget {
  if (gang.ranks === 1) return target;
  const { replica, generation, kvIp, host, version } = target;
  const unknown = unknownTarget(spec, replica, { generation, version, gang });
  const leader = { host, ports: { ...unknown.gang?.leader.ports, ...target.ports } };
  const place = gang.rank === 0 ? leader : { host: unknown.host, ports: unknown.ports };
  return { ...unknown, ...place, kvIp, gang: { ...gang, leader } };
}

function targetOf(
  spec: JobSpec,
  replica: ReplicaId,
  endpoints: Endpoints,
  version: Version | undefined,
): EngineTarget {
  const given = endpoints[replicaName(replica)];
  const generation = given?.generation ?? 1;
  const unknown = unknownTarget(spec, replica, { generation, ...(version ? { version } : {}) });
  const kvIp = endpoints["prefill-0"]?.host ?? unknown.kvIp;
  if (!given) return { ...unknown, kvIp };
  return {
    ...unknown,
    host: given.host,
    ports: { ...unknown.ports, ...given.ports, http: given.port },
    kvIp,
  };
}

interface PlanFlags extends VersionFlag {
  readonly json?: boolean;
  readonly nodes?: string;
  readonly endpoints?: string;
}

export function addPlan(program: Command): void {
  withVersion(program.command("plan"))
    .description("show what `start` would do: bundles, every command, the steps; no server needed")
    .argument("<config>", "YAML file, or - for standard input")
    .option(
      "--json",
      "print {job, connectors, replicas, proxy, steps} as JSON, or {ok: false, issues}",
    )
    .option("--nodes <list>", "the cluster: COUNTxGPUS or COUNTxGPUSxCPUS, separated by commas")
    .option("--endpoints <file>", "JSON or YAML: replica name → {host, port, ports?}")
    .addHelpText(
      "after",
      '\nExamples:\n  pdjob-client plan job.yaml\n  echo \'{"prefill-0":{"host":"10.0.0.7","port":8100}}\' > at.json && pdjob-client plan job.yaml --endpoints at.json --json\n  pdjob-client plan job.yaml --nodes 2x8\n  pdjob-client plan job.yaml --vllm-version 0.24',
    )
    .action(async (file: string, flags: PlanFlags) => {
      const spec = requireSpec(file, { ...versionOption(flags), json: flags.json });
      const nodes = flags.nodes === undefined ? undefined : readNodes(flags.nodes, spec);
      const problems = sideChannelProblems(spec, nodes ?? []);
      if (problems.length > 0) throw new Exit(2, problems.join("\n"));
      const endpoints = flags.endpoints === undefined ? {} : readEndpoints(flags.endpoints, spec);
      const plan = planOf(spec, endpoints, nodes);
      const upload = await uploadPlanOf(spec);
      if (flags.json) printJson(upload ? { ...plan, upload } : plan);
      else printPlan(plan);
      const text = upload ? `uploads ${upload.text}` : uploadNote(spec);
      if (text !== undefined && !flags.json) print(`\n${text}`);
      if (plan.unplaced?.some(({ feasible }) => !feasible)) throw new Exit(1);
    });
}

/** Files are few and short, and hold what is looked for when an engine does not find its peer. */
function printFiles({ files, emptied }: EngineCommand): void {
  for (const folder of emptied) print(`  empties ${folder}`);
  for (const { path, text } of files) {
    print(`  writes ${path}:`);
    for (const line of text.trimEnd().split("\n")) print(`    ${line}`);
  }
}

function printPlan({
  job,
  connectors,
  replicas,
  proxy,
  steps,
  unplaced: left = [],
  note,
}: ReturnType<typeof planOf>): void {
  print(`job ${job}`);
  for (const { name, handOver, before, order } of connectors) {
    print(`\n${name}${handOver === null ? "" : `: hands KV over by ${handOver}`}`);
    for (const what of before) print(`  needs ${what}`);
    print(`  order: ${order}`);
  }
  for (const { name, bundles, strategy, ranks, ...command } of replicas) {
    const spread = strategy === "STRICT_SPREAD" ? ", each on a node of its own" : "";
    print(`\n${name}: reserves ${describeBundles(bundles)}${ranks ? spread : ""}`);
    if (!ranks) printCommand(command);
    for (const rank of ranks ?? []) {
      print(`  rank ${rank.rank}: ${rank.name}`);
      printCommand(rank);
    }
  }
  print(`\nproxy (${proxy.builtin ? "built-in" : "external"})\n  ${shellLine(proxy.argv)}`);
  printMembership(proxy.membership);
  print("\nsteps");
  print(columns(steps.map(({ step, reason }, index) => [`  ${index + 1}.`, step, reason])));
  for (const { name, feasible, reason } of left)
    print(
      `\n${name} ${feasible ? "may find no room beside the others" : "has no place on these nodes"}. ${reason}`,
    );
  if (note) print(`\n${note}`);
}

function printCommand(command: EngineCommand): void {
  for (const [key, value] of Object.entries(command.env)) print(`  ${key}=${shellLine([value])}`);
  printFiles(command);
  print(`  ${shellLine(command.argv)}`);
}

/** `12 GPU`, or of a gang `2 × 6 GPU`: its bundles are all alike. */
function describeBundles(bundles: readonly Bundle[]): string {
  const amounts = Object.entries(bundles[0] ?? {}).map(([kind, count]) => `${count} ${kind}`);
  return `${bundles.length > 1 ? `${bundles.length} × ` : ""}${amounts.join(" + ")}`;
}
