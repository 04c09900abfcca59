import { incarnationName, replicaName } from "../domain/names.ts";
import type { ReplicaId, Role } from "../domain/role.ts";
import type { JobSpec, ParamValue, PortRequest } from "../domain/spec.ts";
import { connectorNeeds } from "./connectors.ts";
import { fill, fillValue, isList, namedPorts } from "./placeholders.ts";
import type { PlaceholderValues } from "./placeholders.ts";

/** One generation of a replica and where it is to answer. `ports` holds `http` and every port of `enginePorts`. */
export interface EngineTarget {
  readonly replica: ReplicaId;
  readonly generation: number;
  readonly host: string;
  readonly ports: Readonly<Record<string, number | string>>;
  readonly kvIp: string;
}

/** Env values may still be references `env:NAME` or `file:PATH`. */
export interface EngineCommand {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Exactly what is run for a replica: the same function serves `plan` and `start`. */
export function renderEngine(spec: JobSpec, target: EngineTarget): EngineCommand {
  const role = spec.roles[target.replica.role];
  const values = placeholderValues(spec, target);
  const params = Object.entries(role.params).flatMap(([name, value]) =>
    flagWords(name, fillValue(value, values)),
  );
  const injected = connectorNeeds(target.replica.role, role).map(({ env }) => env);
  const env = { ...Object.assign({}, ...injected), ...role.envs } as Record<string, string>;
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
      JSON.stringify(fillValue(role.kvTransfer, values)),
      ...role.extraArgs.map((word) => fill(word, values)),
    ],
    env: Object.fromEntries(
      Object.entries(env).map(([name, value]) => [name, fill(value, values)]),
    ),
  };
}

/** The ports a replica of this role needs on its node: `http` first, then the connector's and the placeholders'. */
export function enginePorts(spec: JobSpec, role: Role): readonly PortRequest[] {
  const { params, envs, kvTransfer, extraArgs, model } = spec.roles[role];
  const texts = JSON.stringify([params, envs, kvTransfer, extraArgs, model ?? ""]);
  const asked = [
    ...connectorNeeds(role, spec.roles[role]).map(({ port }) => port),
    ...namedPorts(texts),
  ];
  const spans = new Map<string, number>([["http", 1]]);
  for (const { name, span } of asked) spans.set(name, Math.max(span, spans.get(name) ?? 1));
  return [...spans].map(([name, span]) => ({ name, span }));
}

/** A target whose addresses are not known yet: they print as `<prefill-0.host>` and `<prefill-0.port>`. */
export function unknownTarget(spec: JobSpec, replica: ReplicaId, generation = 1): EngineTarget {
  const name = replicaName(replica);
  const ports = enginePorts(spec, replica.role).map(({ name: port }) => [
    port,
    `<${name}.${port === "http" ? "port" : port}>`,
  ]);
  return {
    replica,
    generation,
    host: `<${name}.host>`,
    ports: Object.fromEntries(ports) as Record<string, string>,
    kvIp: "<prefill-0.host>",
  };
}

function placeholderValues(
  spec: JobSpec,
  { replica, generation, host, ports, kvIp }: EngineTarget,
): PlaceholderValues {
  const named = {
    HOST: host,
    PORT: String(ports["http"]),
    KV_IP: kvIp,
    NODE_NAME: incarnationName(spec.name, replica, generation),
    ROLE: replica.role,
    INDEX: String(replica.index),
    GENERATION: String(generation),
    WORK_DIR: spec.workingDir,
  };
  return { named, ports };
}

/** vLLM's own mapping of a parameter to words: true `--x`, false `--no-x`, null nothing, list `--x a b`, mapping one JSON. */
function flagWords(name: string, value: ParamValue): readonly string[] {
  const dashed = name.replaceAll("_", "-");
  if (value === null) return [];
  if (typeof value === "boolean") return [value ? `--${dashed}` : `--no-${dashed}`];
  if (typeof value !== "object") return [`--${dashed}`, String(value)];
  if (!isList(value)) return [`--${dashed}`, JSON.stringify(value)];
  return [
    `--${dashed}`,
    ...value.map((item) => (typeof item === "object" ? JSON.stringify(item) : String(item))),
  ];
}
