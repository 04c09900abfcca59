import type { Version } from "../domain/connectors/version.ts";
import { incarnationName, rankName, replicaName } from "../domain/names.ts";
import type { ReplicaId, Role } from "../domain/role.ts";
import type { JobSpec, KvTransferConfig, ParamValue, PortRequest } from "../domain/spec.ts";
import { setUpConnectors } from "./connectors.ts";
import { gangEnd, gangEnv, gangFlags, gangPorts, portsSeen } from "./gang.ts";
import type { GangPlace } from "./gang.ts";
import { kvLayoutOf } from "./kv-layout.ts";
import { fill, fillValue, isList, namedPorts } from "./placeholders.ts";
import type { PlaceholderValues } from "./placeholders.ts";

/** One generation of a replica and where it is to answer. `ports` holds `http` and every port of `enginePorts`. */
export interface EngineTarget {
  readonly replica: ReplicaId;
  readonly generation: number;
  readonly host: string;
  readonly ports: Readonly<Record<string, number | string>>;
  readonly kvIp: string;
  /** Address of the head node, where the proxy runs. Needed when `asksForProxyHost`. */
  readonly proxyHost?: string;
  /** The engine's vLLM; unknown = the newest. */
  readonly version?: Version;
  /** Of a replica that spans nodes: which of its ranks this is. */
  readonly gang?: GangPlace;
}

/** Env values may still be references `env:NAME` or `file:PATH`. */
export interface EngineCommand {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** To be there when the engine starts. Paths are relative to the working directory. */
  readonly files: readonly RenderedFile[];
  /** Folders to be emptied before that, relative to the working directory: what an earlier job has left there. */
  readonly emptied: readonly string[];
}

export interface RenderedFile {
  readonly path: string;
  readonly text: string;
}

/** Where the files of one start of a replica are, relative to the working directory: ranks may share a filesystem. */
const filesOf = ({ name }: JobSpec, { replica, generation, gang }: EngineTarget): string =>
  `.pdjob/files/${rankName(name, replica, generation, gang?.rank ?? 0)}`;

/** Exactly what is run for a replica, or for one rank of a gang: the same function serves `plan` and `start`. */
export function renderEngine(spec: JobSpec, target: EngineTarget): EngineCommand {
  const { gang } = target;
  const role = spec.roles[target.replica.role];
  const values = placeholderValues(spec, target);
  const isFollower = gang !== undefined && gang.rank > 0;
  const params = Object.entries(role.params).flatMap(([name, value]) =>
    flagWords(name, fillValue(value, values)),
  );
  const setup = setUpConnectors(target.replica.role, role, target.version);
  const isFirst = isFirstEngine(target);
  const env = { ...(gang ? gangEnv : {}), ...setup.env };
  return {
    argv: [
      ...spec.engineCommand,
      ...(role.model === undefined ? [] : [fill(role.model, values)]),
      ...(isFollower ? [] : ["--host", target.host, "--port", String(target.ports["http"])]),
      ...(gang ? gangFlags(role, gang) : []),
      ...params,
      "--kv-transfer-config",
      JSON.stringify(fillValue(withEngineId(setup.kvTransfer, spec, target), values)),
      ...role.extraArgs.map((word) => fill(word, values)),
      ...(gang ? gangEnd(role, gang) : []),
    ],
    env: Object.fromEntries(
      Object.entries(env).map(([name, value]) => [name, fill(value, values)]),
    ),
    files: Object.entries(setup.files).map(([name, text]) => ({
      path: `${filesOf(spec, target)}/${name}`,
      text: fill(text, values),
    })),
    emptied: isFirst ? setup.fresh.map((folder) => fill(folder, values)) : [],
  };
}

/** Prefill 0 starts before all others, and a job asks for its first generation once. */
const isFirstEngine = ({ replica, generation }: EngineTarget): boolean =>
  replica.role === "prefill" && replica.index === 0 && generation === 1;

/** Each rank of a gang parses this by itself, and peers refuse an engine whose ranks each chose an id of their own. */
function withEngineId(
  kvTransfer: KvTransferConfig,
  { name }: JobSpec,
  { replica, generation, gang }: EngineTarget,
): ParamValue {
  if (!gang || kvTransfer["engine_id"] !== undefined) return kvTransfer;
  return { ...kvTransfer, engine_id: incarnationName(name, replica, generation) };
}

/** The ports a replica of this role needs on its node: `http` first, then the connector's and the placeholders'. */
export function enginePorts(
  spec: JobSpec,
  role: Role,
  version: Version | undefined,
  gang?: Pick<GangPlace, "rank" | "ranks">,
): readonly PortRequest[] {
  const asked = namedPorts(textsOf(spec, role, version));
  const spans = new Map<string, number>([["http", 1]]);
  for (const { name, span } of asked) spans.set(name, Math.max(span, spans.get(name) ?? 1));
  const single = [...spans].map(([name, span]) => ({ name, span }));
  return gang ? gangPorts(spec.roles[role], gang, single) : single;
}

/** Whether the engines' commands name the node that the proxy runs on. */
export const asksForProxyHost = (
  spec: JobSpec,
  role: Role,
  version: Version | undefined,
): boolean => textsOf(spec, role, version).includes("{PROXY_HOST}");

/** Everything that may hold a placeholder, in one text. */
function textsOf(spec: JobSpec, role: Role, version: Version | undefined): string {
  const { params, extraArgs, model } = spec.roles[role];
  const setup = setUpConnectors(role, spec.roles[role], version);
  return JSON.stringify([setup, params, extraArgs, model ?? ""]);
}

/** A target whose addresses are not known yet: they print as `<prefill-0.host>` and `<prefill-0.port>`. */
export function unknownTarget(
  spec: JobSpec,
  replica: ReplicaId,
  { generation = 1, version, gang }: UnknownAt = {},
): EngineTarget {
  const leader = unknownPlace(spec, replica, { version, gang: gang && { ...gang, rank: 0 } });
  return {
    replica,
    generation,
    ...unknownPlace(spec, replica, { version, gang }),
    kvIp: "<prefill-0.host>",
    proxyHost: "<head.host>",
    ...(version ? { version } : {}),
    ...(gang ? { gang: { ...gang, leader } } : {}),
  };
}

interface UnknownAt {
  readonly generation?: number;
  readonly version?: Version | undefined;
  readonly gang?: Pick<GangPlace, "rank" | "ranks"> | undefined;
}

function unknownPlace(
  spec: JobSpec,
  replica: ReplicaId,
  { version, gang }: UnknownAt,
): Pick<EngineTarget, "host" | "ports"> {
  const name = `${replicaName(replica)}${gang && gang.rank > 0 ? `-r${gang.rank}` : ""}`;
  const ports = enginePorts(spec, replica.role, version, gang).map(
    ({ name: port }): [string, string] => [port, `<${name}.${port === "http" ? "port" : port}>`],
  );
  return { host: `<${name}.host>`, ports: Object.fromEntries(ports) };
}

function placeholderValues(spec: JobSpec, target: EngineTarget): PlaceholderValues {
  const { replica, generation, host, ports, kvIp, proxyHost, gang } = target;
  const named = {
    HOST: host,
    PORT: String(ports["http"]),
    KV_IP: kvIp,
    // One name for all ranks of an engine.
    NODE_NAME: incarnationName(spec.name, replica, generation),
    ROLE: replica.role,
    INDEX: String(replica.index),
    GENERATION: String(generation),
    WORK_DIR: spec.workingDir,
    JOB: spec.name,
    KV_LAYOUT: kvLayoutOf(spec),
    FILES: `${spec.workingDir}/${filesOf(spec, target)}`,
    ...(proxyHost === undefined ? {} : { PROXY_HOST: proxyHost }),
  };
  return { named, ports: gang ? portsSeen(ports, gang) : ports };
}

/** Switches of vLLM that cannot be turned off: it refuses `--no-` before them, and off is what they are without. */
const onlyOn: ReadonlySet<string> = new Set(["disable-log-stats", "aggregate-engine-logging"]);

/** vLLM's own mapping of a parameter to words: true `--x`, false `--no-x`, null nothing, list `--x a b`, mapping one JSON. */
function flagWords(name: string, value: ParamValue): readonly string[] {
  const dashed = name.replaceAll("_", "-");
  if (value === null || (value === false && onlyOn.has(dashed))) return [];
  if (typeof value === "boolean") return [value ? `--${dashed}` : `--no-${dashed}`];
  if (typeof value !== "object") return [`--${dashed}`, String(value)];
  if (!isList(value)) return [`--${dashed}`, JSON.stringify(value)];
  return [
    `--${dashed}`,
    ...value.map((item) => (typeof item === "object" ? JSON.stringify(item) : String(item))),
  ];
}
