import { isApart, isProxyNew, rollingRoles, standstill } from "../domain/apply.ts";
import { roles } from "../domain/role.ts";
import type { Role } from "../domain/role.ts";
import { rolloutOf } from "../domain/spec.ts";
import type { JobSpec } from "../domain/spec.ts";

/** One key of the config that differs. Texts are as JSON has them; absent = the key is not there. */
export interface Change {
  readonly path: string;
  readonly before?: string;
  readonly after?: string;
}

/** What the config calls a part of the spec, where that is not its name in other letters. */
const keyOf: Readonly<Record<string, string>> = {
  timeoutS: "timeout",
  numGpus: "num_gpus",
  gpusPerWorker: "gpus_per_worker",
  numCpus: "num_cpus",
  workingDir: "working_dir",
  engineCommand: "engine.command",
  engineVersion: "engine.version",
  restartsMax: "max_restarts",
  windowS: "window",
  intervalS: "interval",
  stallS: "stall",
  prefixBytes: "prefix_bytes",
  rampS: "ramp",
  silenceS: "silence",
  ejectionS: "ejection",
  drainS: "drain",
  drainQuietS: "drain.quiet",
  stopGraceS: "stop_grace",
  leaseS: "lease",
  bodyMibMax: "max_body_mib",
  memoryMibMax: "max_memory_mib",
  requestsMax: "max_requests",
  waitingMax: "max_waiting",
  waitS: "max_wait",
  model: "params.model",
  kvTransfer: "params.kv_transfer_config",
  extraArgs: "params._extra_params",
};

/** Every key that differs, in the order of the spec. */
export function changesBetween(before: JobSpec, after: JobSpec): readonly Change[] {
  const [old, now] = [leavesOf(before), leavesOf(after)];
  return [...new Set([...old.keys(), ...now.keys()])].flatMap((path) => {
    const [was, is] = [old.get(path), now.get(path)];
    if (was === is) return [];
    return [
      {
        path,
        ...(was === undefined ? {} : { before: was }),
        ...(is === undefined ? {} : { after: is }),
      },
    ];
  });
}

function leavesOf(spec: JobSpec): ReadonlyMap<string, string> {
  const { roles: of, ...rest } = spec;
  const named = { ...rest, ...Object.fromEntries(roles.map((role) => [role, engineOf(of[role])])) };
  return new Map(leaves(named, ""));
}

const engineOf = ({
  revision: _revision,
  kvRevision: _kvRevision,
  ...role
}: JobSpec["roles"][Role]) => role;

function leaves(value: unknown, path: string): readonly (readonly [string, string])[] {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return value === undefined ? [] : [[path, JSON.stringify(value)]];
  return Object.entries(value).flatMap(([key, child]) => {
    // What the user names keeps its name: flags, variables and files are no keys of ours.
    const isOurs = !/(^|\.)(params|envs|files|kv_transfer_config)$/.test(path);
    const name = isOurs ? (keyOf[key] ?? key) : key;
    return leaves(child, path === "" ? name : `${path}.${name}`);
  });
}

/** What a change costs, in sentences. `running`: the counts as they stand. */
export function consequencesOf(
  before: JobSpec,
  after: JobSpec,
  running: Readonly<Record<Role, number>>,
): readonly string[] {
  const rolling = rollingRoles(before, after);
  const { unavailable, surge } = rolloutOf(after);
  const stuck = standstill(before, after)?.roles ?? [];
  return [
    ...rolling.map((role) => {
      const count = Math.min(running[role], after.roles[role].replicas);
      const isStuck = stuck.includes(role);
      const spared = Math.min(isStuck ? Math.max(1, unavailable) : unavailable, count - 1);
      const way = isStuck && count === 1 ? noRoom : oneByOne(spared, surge);
      return `${role}: ${count} ${count === 1 ? "engine is" : "engines are"} replaced, ${way}`;
    }),
    ...(rolling.length === 2 && isApart(before, after)
      ? ["old engines are never paired with new ones: their KV may not fit together"]
      : []),
    ...roles.flatMap((role) => {
      const [was, is] = [running[role], after.roles[role].replicas];
      return was === is ? [] : [`${role}: ${was} → ${is} replicas`];
    }),
    ...(isProxyNew(before, after) ? ["the proxy is started anew"] : []),
  ];
}

const noRoom = "and no other has room beside it: nothing serves meanwhile";

const oneByOne = (spared: number, surge: number): string =>
  spared > 0
    ? `${spared} at a time, after its requests in flight`
    : `beside ${surge} more that ${surge === 1 ? "comes" : "come"} first and ${surge === 1 ? "goes" : "go"} last`;
