import { replicaName, workflowIdOf } from "../../src/domain/names.ts";
import type { ReplicaId, Role } from "../../src/domain/role.ts";
import { roles } from "../../src/domain/role.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import type { JobStatus } from "../../src/domain/status.ts";
import type { Clock } from "./clock.ts";
import type { Execution, Server } from "./temporal/server.ts";

/** What its users asked of a job, so that oracles need not believe the workflow. */
export interface Job {
  readonly spec: JobSpec;
  readonly execution: Execution;
  readonly wanted: Readonly<Record<Role, number>>;
  readonly ending?: "stop" | "cancel" | "fail" | "terminate";
  /** The workflow has remembered that it was READY. */
  hasServed: boolean;
  /** The workflow has asked for something, or has seen something of an earlier run. */
  hasBegun: boolean;
  /** When a replica, or the proxy, was last not wanted, by its count or by a restart; -Infinity if it always was wanted. */
  unwantedAtMs(target: string): number;
  scale(role: Role, replicas: number): void;
  restart(replica: string): void;
  /** Another config, whose engines of these roles are others. */
  apply(changed: readonly Role[]): void;
  undo(): void;
  /** Another config, with the same engines. */
  lease(leaseS: number): void;
  /** The shortest lease of all its configs; 0 when none had one. */
  readonly shortestLeaseS: number;
  /** One of its configs had no lease. */
  readonly hadNoLease: boolean;
  /** The config that the workflow goes by: it may have gone back by itself. */
  readonly now: JobSpec;
  sawNow(spec: JobSpec): void;
  /** Every config that the job had has one: `prefill decode`, by their `kvRevision`. */
  readonly pairs: ReadonlySet<string>;
  stop(): void;
  cancel(): void;
  terminate(): void;
  status(): JobStatus | undefined;
  /** Generations that a restart has retired, by replica. */
  readonly retired: ReadonlyMap<string, number>;
  /** Its first deployment could not succeed: it is torn down without waiting for requests. */
  hasFailed(): boolean;
}

interface Surroundings {
  readonly server: Server;
  readonly clock: Clock;
  /** The run before it, under the same name. */
  readonly before: Job | undefined;
}

export function createJob(
  spec: JobSpec,
  execution: Execution,
  { server, clock, before }: Surroundings,
): Job {
  const id = workflowIdOf(spec.name);
  const wanted = { prefill: spec.roles.prefill.replicas, decode: spec.roles.decode.replicas };
  /** Of what was wanted all along it has no entry, nor of what never was. */
  const unwanted = new Map<string, number>();
  const retired = new Map<string, number>();
  let ending: Job["ending"];
  let now = spec;
  let asked = spec;
  let revisions = 1;
  const leasesS = new Set([spec.leaseS]);
  /** Engines of a run before are adopted in the pairs that they were in. */
  const pairs = new Set([...(before?.pairs ?? []), pairOf(spec)]);
  /** Any of its replicas may be replaced from now on. */
  const unsettle = (): void => {
    for (const one of wantedIds({ wanted })) unwanted.set(replicaName(one), clock.nowMs());
  };

  function scale(role: Role, replicas: number): void {
    for (let index = replicas; index < wanted[role]; index++)
      unwanted.set(replicaName({ role, index }), Infinity);
    for (let index = wanted[role]; index < replicas; index++)
      unwanted.set(replicaName({ role, index }), clock.nowMs());
    wanted[role] = replicas;
    server.signal(id, "scaleTo", { role, replicas });
  }

  /** With the counts that are wanted now. */
  function ask(next: JobSpec): void {
    const of = (role: Role) => ({ ...next.roles[role], replicas: wanted[role] });
    asked = { ...next, roles: { prefill: of("prefill"), decode: of("decode") } };
    server.update(id, "apply", { spec: asked }, () => undefined);
  }

  /** An earlier job of the same name may have had more replicas, which this one never wanted. */
  const isWanted = (target: string): boolean =>
    target === "proxy" || wantedIds({ wanted }).map(replicaName).includes(target);

  const status = () => server.query(id, "status") as JobStatus | undefined;

  const hasFailed = (): boolean => execution.status === "failed" || status()?.failure !== undefined;

  /** A job that has failed already ends so, and one that is cancelled as well as stopped is cancelled. */
  function noteEnd(how: "stop" | "cancel"): void {
    if (hasFailed()) ending ??= "fail";
    else if (ending !== "cancel") ending = how;
  }

  return {
    spec,
    execution,
    wanted,
    hasServed: false,
    hasBegun: false,
    get ending() {
      return ending;
    },
    unwantedAtMs: (target) =>
      ending ? Infinity : (unwanted.get(target) ?? (isWanted(target) ? -Infinity : Infinity)),
    scale,
    restart(replica) {
      unwanted.set(replica, clock.nowMs());
      const seen = status();
      const target =
        replica === "proxy" ? seen?.proxy : seen?.replicas.find(({ name }) => name === replica);
      retired.set(replica, target?.generation ?? 0);
      server.update(id, "restartReplica", { replica }, () => undefined);
    },
    apply(changed) {
      revisions += 1;
      const kind = `r${revisions}`;
      const of = (role: Role) => ({
        ...asked.roles[role],
        ...(changed.includes(role) ? { revision: kind, kvRevision: kind } : {}),
      });
      ask({ ...asked, roles: { prefill: of("prefill"), decode: of("decode") } });
      pairs.add(pairOf(asked));
      unsettle();
    },
    lease(leaseS) {
      leasesS.add(leaseS);
      ask({ ...asked, leaseS });
    },
    get shortestLeaseS() {
      const some = [...leasesS].filter((leaseS) => leaseS > 0);
      return some.length > 0 ? Math.min(...some) : 0;
    },
    get hadNoLease() {
      return leasesS.has(0);
    },
    undo() {
      unsettle();
      server.update(id, "undo", undefined, () => undefined);
      // Counts are gone back to as well, which is not what this job's users want.
      for (const role of roles) server.signal(id, "scaleTo", { role, replicas: wanted[role] });
    },
    get now() {
      return now;
    },
    sawNow(next) {
      const isOther = roles.some((role) => next.roles[role].revision !== now.roles[role].revision);
      if (isOther) unsettle();
      now = next;
    },
    pairs,
    stop() {
      noteEnd("stop");
      server.update(id, "stop", undefined, () => undefined);
    },
    cancel() {
      noteEnd("cancel");
      server.cancel(id);
    },
    terminate() {
      ending = "terminate";
      server.terminate(id);
    },
    status,
    retired,
    hasFailed,
  };
}

export const wantedIds = ({ wanted }: Pick<Job, "wanted">): readonly ReplicaId[] =>
  roles.flatMap((role) => Array.from({ length: wanted[role] }, (_, index) => ({ role, index })));

const pairOf = ({ roles: of }: JobSpec): string =>
  `${of.prefill.kvRevision} ${of.decode.kvRevision}`;
