import type { Version } from "../domain/connectors/version.ts";
import { incarnationName, replicaName } from "../domain/names.ts";
import type { ReplicaId, Role } from "../domain/role.ts";
import type { JobSpec, ParamValue, PortRequest } from "../domain/spec.ts";
import { setUpConnectors } from "./connectors.ts";
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

/** Where the files of one start of a replica are, relative to the working directory. */
const filesFolder = ".pdjob/files";

/** Exactly what is run for a replica: the same function serves `plan` and `start`. */
export function renderEngine(spec: JobSpec, target: EngineTarget): EngineCommand {
  const role = spec.roles[target.replica.role];
  const values = placeholderValues(spec, target);
  const params = Object.entries(role.params).flatMap(([name, value]) =>
    flagWords(name, fillValue(value, values)),
  );
  const setup = setUpConnectors(target.replica.role, role, target.version);
  const isFirst = isFirstEngine(target);
  return {
    argv: [
      ...spec.engineCommand,
      ...(role.model === undefined ? [] : [fill(role.model, values)]),
      "--host",
      target.host,
      "--port",
      String(target.ports["http"]),
      ...params,
      "--kv-transfer-config",
      JSON.stringify(fillValue(setup.kvTransfer, values)),
      ...role.extraArgs.map((word) => fill(word, values)),
    ],
    env: Object.fromEntries(
      Object.entries(setup.env).map(([name, value]) => [name, fill(value, values)]),
    ),
    files: Object.entries(setup.files).map(([name, text]) => ({
      path: `${filesFolder}/${values.named["NODE_NAME"]}/${name}`,
      text: fill(text, values),
    })),
    emptied: isFirst ? setup.fresh.map((folder) => fill(folder, values)) : [],
  };
}

/** Prefill 0 starts before all others, and a job asks for its first generation once. */
const isFirstEngine = ({ replica, generation }: EngineTarget): boolean =>
  replica.role === "prefill" && replica.index === 0 && generation === 1;

/** The ports a replica of this role needs on its node: `http` first, then the connector's and the placeholders'. */
export function enginePorts(
  spec: JobSpec,
  role: Role,
  version: Version | undefined,
): readonly PortRequest[] {
  const asked = namedPorts(textsOf(spec, role, version));
  const spans = new Map<string, number>([["http", 1]]);
  for (const { name, span } of asked) spans.set(name, Math.max(span, spans.get(name) ?? 1));
  return [...spans].map(([name, span]) => ({ name, span }));
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
  { generation = 1, version }: Partial<Pick<EngineTarget, "generation" | "version">> = {},
): EngineTarget {
  const name = replicaName(replica);
  const ports = enginePorts(spec, replica.role, version).map(({ name: port }) => [
    port,
    `<${name}.${port === "http" ? "port" : port}>`,
  ]);
  return {
    replica,
    generation,
    host: `<${name}.host>`,
    ports: Object.fromEntries(ports) as Record<string, string>,
    kvIp: "<prefill-0.host>",
    proxyHost: "<head.host>",
    ...(version ? { version } : {}),
  };
}

function placeholderValues(
  spec: JobSpec,
  { replica, generation, host, ports, kvIp, proxyHost }: EngineTarget,
): PlaceholderValues {
  const name = incarnationName(spec.name, replica, generation);
  const named = {
    HOST: host,
    PORT: String(ports["http"]),
    KV_IP: kvIp,
    NODE_NAME: name,
    ROLE: replica.role,
    INDEX: String(replica.index),
    GENERATION: String(generation),
    WORK_DIR: spec.workingDir,
    JOB: spec.name,
    FILES: `${spec.workingDir}/${filesFolder}/${name}`,
    ...(proxyHost === undefined ? {} : { PROXY_HOST: proxyHost }),
  };
  return { named, ports };
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
