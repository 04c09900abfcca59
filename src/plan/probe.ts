import { misfits } from "../domain/connectors/fit.ts";
import type { Side } from "../domain/connectors/fit.ts";
import { isLoopback, sideChannelHost } from "../domain/connectors/side-channel.ts";
import { builtinProxyProblem, versionProblems } from "../domain/connectors/problems.ts";
import {
  compareVersions,
  newestKnown,
  parseVersion,
  versionPattern,
} from "../domain/connectors/version.ts";
import type { Version } from "../domain/connectors/version.ts";
import type { EngineVersion } from "../domain/engine-version.ts";
import type { ObservedNode } from "../domain/observed.ts";
import { roles } from "../domain/role.ts";
import type { Role } from "../domain/role.ts";
import type { JobSpec, RoleSpec } from "../domain/spec.ts";
import { layoutOf } from "./placement.ts";

/** Nodes that are asked for their vLLM. More would find a mixed cluster more surely, and cost each node a start of Python. */
const nodesAskedMax = 8;

/** One question: this role's command and environment, on this node. */
export interface Probe<Node> {
  readonly node: Node;
  readonly argv: readonly string[];
  /** Values may be references `env:NAME` or `file:PATH`. */
  readonly env: Readonly<Record<string, string>>;
}

/** What came of one. */
export interface Reading {
  readonly nodeIp: string;
  readonly code: number | null;
  readonly output: string;
  readonly error?: string;
}

/**
 * What to ask: each different environment of the roles, on nodes that could hold a replica or a rank of one.
 */
export function probesOf<Node extends ObservedNode>(
  spec: JobSpec,
  nodes: readonly Node[],
): readonly Probe<Node>[] {
  const { engineCommand } = spec;
  if (!isAskable(spec)) return [];
  const argv = [...engineCommand.slice(0, -1), "--version"];
  const envs = new Map<string, { readonly role: Role; readonly env: Probe<Node>["env"] }>();
  for (const role of roles) {
    const env = withoutPlaceholders(spec.roles[role].envs);
    const key = JSON.stringify(env);
    if (!envs.has(key)) envs.set(key, { role, env });
  }
  const asked = Math.max(1, Math.floor(nodesAskedMax / envs.size));
  return [...envs.values()].flatMap(({ role, env }) =>
    nodesFor(spec, role, nodes)
      .slice(0, asked)
      .map((node) => ({ node, argv, env })),
  );
}

/** Only a command that ends in `serve` is asked: any other might serve at once, on GPUs that nobody gave it. */
const isAskable = ({ engineCommand }: JobSpec): boolean =>
  engineCommand.length > 1 && engineCommand.at(-1) === "serve";

/** Nodes that could hold a replica, or a rank of one. */
function nodesFor<Node extends ObservedNode>(
  spec: JobSpec,
  role: Role,
  nodes: readonly Node[],
): readonly Node[] {
  const [{ GPU = 0, CPU = 0 } = {}] = layoutOf(spec, role, nodes).bundles;
  return nodes.filter(({ alive, total }) => alive && total.GPU >= GPU && total.CPU >= CPU);
}

/** A side channel that is another place on each node, and nodes that are more than one machine. */
export function sideChannelProblems(
  spec: JobSpec,
  nodes: readonly ObservedNode[],
): readonly string[] {
  const places = new Set(
    roles
      .flatMap((role) => nodesFor(spec, role, nodes))
      .flatMap(({ ip }) => (isLoopback(ip) ? [] : [ip])),
  );
  if (places.size < 2) return [];
  return roles.flatMap((role) => {
    const host = spec.roles[role].envs[sideChannelHost] ?? "";
    return isLoopback(host)
      ? [
          `${role}.envs.${sideChannelHost}: is ${host}, and ${places.size} nodes could hold a replica: on another node decode finds nobody there. Leave it out, and each replica gets its own node's address.`,
        ]
      : [];
  });
}

/** They are filled per replica, and there is none yet. */
const withoutPlaceholders = (env: Probe<unknown>["env"]): Probe<unknown>["env"] =>
  Object.fromEntries(Object.entries(env).filter(([, value]) => !/\{#?[A-Z]/.test(value)));

/** vLLM prints its version last, after whatever its imports have to say. */
export function readVersion({ code, output }: Reading): string | undefined {
  if (code !== 0) return undefined;
  const lines = output.trim().split("\n").toReversed();
  return lines
    .map((line) => /^(?:vllm\s+)?(\S+)$/i.exec(line.trim())?.[1] ?? "")
    .find((word) => versionPattern.test(word));
}

/** The version that counts, and what an operator should know. Of several the oldest counts: it knows least. */
export function judgeVersion(spec: JobSpec, readings: readonly Reading[]): EngineVersion {
  const told = readings.flatMap((reading) => {
    const text = readVersion(reading);
    return text === undefined
      ? []
      : [{ text, version: parseVersion(text) ?? [], nodeIp: reading.nodeIp }];
  });
  const sorted = told.toSorted((a, b) => compareVersions(a.version, b.version));
  const [oldest] = sorted;
  const { engineVersion: declared } = spec;
  if (oldest === undefined)
    return { notes: declared === undefined ? [unreadable(spec, readings)] : [] };
  const isOther = declared !== undefined && !isSame(parseVersion(declared) ?? [], oldest.version);
  return {
    version: oldest.text,
    notes: [
      ...(new Set(told.map(({ text }) => text)).size > 1 ? [mixed(sorted)] : []),
      ...(isOther
        ? [
            `engine.version says ${declared}, but the engines are vLLM ${oldest.text}, which counts.`,
          ]
        : []),
    ],
  };
}

/** `0.32` declares every 0.32.x. */
const isSame = (declared: Version, version: Version): boolean =>
  [version, version.slice(0, 2)].some((one) => compareVersions(declared, one) === 0);

function unreadable(spec: JobSpec, readings: readonly Reading[]): string {
  const assumed = `vLLM ${newestKnown} is assumed; give engine.version if it is another.`;
  if (!isAskable(spec)) {
    const command = spec.engineCommand.join(" ");
    return `The engine's command (${command}) is not asked for its version, since it does not end in serve: ${assumed}`;
  }
  const [first] = readings;
  const why = first
    ? `${first.nodeIp}: ${first.error ?? `exit code ${first.code ?? "unknown"}`}`
    : "no node that could hold a replica is there";
  return `The engine's version could not be read (${why}): ${assumed}`;
}

const mixed = (told: readonly { readonly text: string; readonly nodeIp: string }[]): string =>
  `The nodes have different versions of vLLM (${told.map(({ text, nodeIp }) => `${nodeIp}: ${text}`).join(", ")}): prefill and decode of different versions refuse each other's KV. Install the same on all.`;

/** What the engines' vLLM has against the job: errors end it, and warnings tell what is rendered otherwise than written. */
export function versionVerdict(
  spec: JobSpec,
  told: string | undefined,
): { readonly errors: readonly string[]; readonly warnings: readonly string[] } {
  const text = told ?? spec.engineVersion;
  const version = text === undefined ? undefined : parseVersion(text);
  const found = roles.flatMap((role) =>
    versionProblems(spec.roles[role].kvTransfer, version).map((one) => ({
      ...one,
      message: `${role}.params.kv_transfer_config.${one.path.join(".")}: ${one.message}`,
    })),
  );
  const proxy =
    spec.scheduler.command === undefined
      ? builtinProxyProblem(spec.roles.prefill.kvTransfer, version)
      : undefined;
  const of = (severity: "error" | "warning"): readonly string[] =>
    found.filter((one) => one.severity === severity).map(({ message }) => message);
  const assumed =
    text === undefined
      ? [`(vLLM ${newestKnown} is assumed: give engine.version if the engines have another.)`]
      : [];
  const { prefill, decode } = spec.roles;
  const unfit = misfits({ prefill: sideOf(prefill), decode: sideOf(decode) }, version)
    .filter(({ severity }) => severity === "error")
    .map(({ role, param, message }) => `${role}.params.${param}: ${message}`);
  const errors = [
    ...of("error"),
    ...unfit,
    ...(proxy === undefined ? [] : [`scheduler.command is missing: ${proxy}`]),
  ];
  return { errors: errors.length > 0 ? [...errors, ...assumed] : [], warnings: of("warning") };
}

const sideOf = ({ kvTransfer, params, model, extraArgs }: RoleSpec): Side => ({
  config: kvTransfer,
  params: model === undefined ? params : { ...params, model },
  extraArgs,
});
