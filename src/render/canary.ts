import type { CanaryHandOver } from "../domain/canary.ts";
import { handOverBy } from "../domain/connectors/children.ts";
import type { HandOver } from "../domain/connectors/connector.ts";
import type { Version } from "../domain/connectors/version.ts";
import { givenParam } from "../domain/given.ts";
import { engineKeys } from "../domain/proxy-start.ts";
import type { Role } from "../domain/role.ts";
import type { JobSpec, RoleSpec } from "../domain/spec.ts";

export interface RenderedCanary {
  readonly handOver: CanaryHandOver;
  /** What clients call the model: the decode engines' first name for it, which prefill engines need as well. */
  readonly model?: string;
  /** Values may be references `env:NAME` or `file:PATH`. */
  readonly keys: Readonly<Partial<Record<Role, string>>>;
}

const askedBy: Readonly<Record<HandOver, CanaryHandOver>> = {
  params: "params",
  store: "store",
  concurrent: "none",
  registering: "models",
  notifying: "models",
};

/**
 * Whose token an engine that stands still is asked for, to see whether it hangs. Undefined when it may not be asked by
 * itself, or the job wants no requests of ours.
 */
export function renderStallRequest(
  spec: JobSpec,
  role: Role,
  version?: Version,
): Pick<RenderedCanary, "model" | "keys"> | undefined {
  const { handOver, keys } = renderCanary(spec, version);
  if (spec.canary === false || handOver === "models") return undefined;
  const model = servedName(spec.roles[role]);
  const key = keys[role];
  return {
    ...(model === undefined || model.includes("{") ? {} : { model }),
    keys: key === undefined ? {} : { [role]: key },
  };
}

/** What a canary of this job asks its engines. */
export function renderCanary({ roles: of }: JobSpec, version?: Version): RenderedCanary {
  const found = handOverBy(of.prefill.kvTransfer, version);
  const model = servedName(of.decode);
  return {
    handOver: found === undefined ? "none" : found === "unknown" ? "any" : askedBy[found.kind],
    // What is filled in for each replica is known to none but that one.
    ...(model === undefined || model.includes("{") ? {} : { model }),
    keys: engineKeys(of),
  };
}

function servedName(role: RoleSpec): string | undefined {
  const given = givenParam(role, "served_model_name");
  const first: unknown = Array.isArray(given) ? given[0] : given;
  if (typeof first === "symbol") return undefined;
  return first === undefined || first === null ? role.model : String(first);
}
