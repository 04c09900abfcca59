import { defaultWorkingDir } from "../domain/names.ts";
import { defaultProxyLimits } from "../domain/exposure.ts";
import type { ProxyLimits } from "../domain/exposure.ts";
import { roles } from "../domain/role.ts";
import type { Role } from "../domain/role.ts";
import type { SelectionSpec } from "../domain/selection.ts";
import { defaultProxyPort } from "../domain/spec.ts";
import type {
  CallSpec,
  FileMembership,
  HttpMembership,
  JobSpec,
  ParamValue,
  RoleSpec,
  SchedulerSpec,
} from "../domain/spec.ts";
import { kvTransferOf } from "./kv.ts";
import { mergedParams, paramsOf } from "./merge.ts";
import { nodeAt } from "./node.ts";
import type { ConfigNode } from "./node.ts";
import type { Path } from "./problem.ts";
import type { Reading } from "./reading.ts";
import type { ConfigFile } from "./schema.ts";
import { splitCommand } from "./shell.ts";

/** The spec of a file without problems: merged, split, defaults filled. */
export function buildSpec(reading: Reading, file: ConfigFile, name: string): JobSpec {
  const isCpuJob = roles.some((role) => file[role].num_gpus === 0);
  return {
    name,
    timeoutS: file.timeout,
    numGpus: file.num_gpus,
    gpusPerWorker: file.gpus_per_worker,
    numCpus: file.num_cpus ?? (isCpuJob ? 1 : 0),
    workingDir: file.working_dir ?? defaultWorkingDir(name),
    ...(file.upload === undefined ? {} : { upload: file.upload }),
    envs: envsAt(reading, ["envs"]),
    engineCommand: words(file.engine.command),
    ...(file.engine.version === undefined ? {} : { engineVersion: file.engine.version }),
    scheduler: schedulerOf(file),
    roles: {
      prefill: roleOf(reading, file, "prefill"),
      decode: roleOf(reading, file, "decode"),
    },
    rollout: file.rollout,
    restart: { restartsMax: file.restart.max_restarts, windowS: file.restart.window },
    health: {
      intervalS: file.health.interval,
      timeoutS: file.health.timeout,
      failures: file.health.failures,
      stallS: file.health.stall,
    },
    ...(file.canary ? {} : { canary: false }),
    drainS: { prefill: file.drain.prefill, decode: file.drain.decode },
    drainQuietS: file.drain.quiet,
    stopGraceS: file.stop_grace,
    leaseS: file.lease,
  };
}

function schedulerOf({ scheduler }: ConfigFile): SchedulerSpec {
  const { port, command, membership, http, file } = { port: defaultProxyPort, ...scheduler };
  if (command === undefined) return { port, membership: "builtin", ...builtinOf(scheduler) };
  return {
    port,
    command: words(command),
    membership: membership ?? (http ? "http" : file ? "file" : "restart"),
    ...(http ? { http: httpOf(http) } : {}),
    ...(file ? { file: fileOf(file) } : {}),
  };
}

/** What the user says nothing of stays away, so that it changes no spec of a job that runs. */
const builtinOf = (
  scheduler: ConfigFile["scheduler"],
): Pick<SchedulerSpec, "selection" | "degraded" | "limits" | "auth"> => {
  const { selection, degraded, limits, auth } = scheduler ?? {};
  return {
    ...(selection ? { selection: selectionOf(selection) } : {}),
    ...(degraded ? { degraded } : {}),
    ...(limits ? { limits: limitsOf(limits) } : {}),
    ...(auth ? { auth } : {}),
  };
};

type Scheduler = NonNullable<ConfigFile["scheduler"]>;

function selectionOf(selection: NonNullable<Scheduler["selection"]>): SelectionSpec {
  const { prefill, decode, prefix_bytes: prefixBytes, ramp, silence, ejection } = selection;
  return { prefill, decode, prefixBytes, rampS: ramp, silenceS: silence, ejectionS: ejection };
}

const limitsOf = ({
  max_memory_mib: memoryMibMax,
  ...limits
}: NonNullable<Scheduler["limits"]>): ProxyLimits => ({
  bodyMibMax: limits.max_body_mib,
  // Not in the specs of jobs that were started before there was this limit.
  ...(memoryMibMax === defaultProxyLimits.memoryMibMax ? {} : { memoryMibMax }),
  requestsMax: limits.max_requests,
  waitingMax: limits.max_waiting,
  waitS: limits.max_wait,
});

type Http = NonNullable<NonNullable<ConfigFile["scheduler"]>["http"]>;
type File = NonNullable<NonNullable<ConfigFile["scheduler"]>["file"]>;

function httpOf({ add, remove, list }: Http): HttpMembership {
  return {
    ...(add ? { add: callsOf(add) } : {}),
    ...(remove ? { remove: callsOf(remove) } : {}),
    ...(list ? { list: callOf({ ...list, method: "GET" }) } : {}),
  };
}

/** What a role says of its own takes the place of what both share. */
const callsOf = ({ prefill, decode, ...both }: NonNullable<Http["add"]>) => ({
  prefill: callOf({ ...both, ...prefill }),
  decode: callOf({ ...both, ...decode }),
});

function callOf(request: Omit<NonNullable<Http["add"]>, "prefill" | "decode">): CallSpec {
  const { method = "POST", url = "", headers = {}, body, accept = [] } = request;
  const call = { method, url, headers, accept };
  // The tree holds nothing but what JSON can hold.
  return body === undefined ? call : { ...call, body: body as ParamValue };
}

const fileOf = ({ path, content }: File): FileMembership =>
  content === undefined ? { path } : { path, content: content as ParamValue };

function roleOf(reading: Reading, file: ConfigFile, role: Role): RoleSpec {
  const {
    model,
    // Engines always get their node's address and a port that was bound there.
    host: _host,
    port: _port,
    kv_transfer_config: _kv,
    _extra_params: _extra,
    ...params
  } = mergedParams(reading, role);
  return {
    numGpus: file[role].num_gpus,
    replicas: file[role].replicas,
    envs: {
      ...envsAt(reading, ["envs"]),
      ...envsAt(reading, ["general", "envs"]),
      ...envsAt(reading, [role, "envs"]),
    },
    params: asWritten(reading, role, params),
    ...(typeof model === "string" ? { model } : {}),
    kvTransfer: kvTransferOf(reading, role),
    ...filesOf(file, role),
    extraArgs: (["general", role] as const).flatMap((section) => {
      const extra = paramsOf(reading, section)["_extra_params"];
      return typeof extra === "string" ? words(extra) : [];
    }),
  };
}

/** Digits as they were written: 1.10 is a version to somebody, and a long number would be rounded. */
function asWritten(
  { root }: Reading,
  role: Role,
  params: Readonly<Record<string, ParamValue>>,
): Readonly<Record<string, ParamValue>> {
  const entries = Object.entries(params).map(([key, value]) => {
    const node = nodeAt(root, [role, "params", key]) ?? nodeAt(root, ["general", "params", key]);
    return [key, node ? digitsOf(node, value) : value] as const;
  });
  return Object.fromEntries(entries);
}

const decimal = /^[-+]?\d+(?:\.\d+)?$/;

function digitsOf({ content }: ConfigNode, value: ParamValue): ParamValue {
  if (content.kind === "list" && Array.isArray(value))
    return value.map((item: ParamValue, at) => {
      const child = content.children.get(String(at));
      return child ? digitsOf(child, item) : item;
    });
  if (content.kind !== "scalar" || typeof value !== "number") return value;
  const { plainText = "" } = content;
  return decimal.test(plainText) && plainText !== String(value) ? plainText : value;
}

function filesOf(file: ConfigFile, role: Role): Pick<RoleSpec, "files"> {
  const files = { ...file.general?.files, ...file[role].files };
  return Object.keys(files).length > 0 ? { files } : {};
}

/** Values as they were written: 1.0 stays 1.0 and 0x10 stays 0x10, as in a shell. */
function envsAt({ root }: Reading, path: Path): Readonly<Record<string, string>> {
  const node = nodeAt(root, path);
  if (node === undefined || node.content.kind !== "mapping") return {};
  const entries = [...node.content.children].map(([name, { content }]) => {
    if (content.kind !== "scalar") return [name, ""] as const;
    const { value, plainText } = content;
    return [name, typeof value === "string" ? value : (plainText ?? String(value))] as const;
  });
  return Object.fromEntries(entries);
}

const words = (text: string): readonly string[] => {
  const split = splitCommand(text);
  return split.ok ? split.words : [];
};
