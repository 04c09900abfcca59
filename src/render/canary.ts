import type { CanaryHandOver } from "../domain/canary.ts";
import { handOverBy } from "../domain/connectors/children.ts";
import type { HandOver } from "../domain/connectors/connector.ts";
import type { Version } from "../domain/connectors/version.ts";
import { paramOf } from "../domain/engine-flags.ts";
import { roles } from "../domain/role.ts";
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

/** What a canary of this job asks its engines. */
export function renderCanary({ roles: of }: JobSpec, version?: Version): RenderedCanary {
  const found = handOverBy(of.prefill.kvTransfer, version);
  const model = servedName(of.decode);
  const keys = roles.flatMap((role) => {
    const key = keyOf(of[role]);
    return key === undefined ? [] : [[role, key]];
  });
  return {
    handOver: found === undefined ? "none" : found === "unknown" ? "any" : askedBy[found.kind],
    // What is filled in for each replica is known to none but that one.
    ...(model === undefined || model.includes("{") ? {} : { model }),
    keys: Object.fromEntries(keys) as RenderedCanary["keys"],
  };
}

/** Extra arguments come last on the command line, so they win. */
function servedName({ params, extraArgs, model }: RoleSpec): string | undefined {
  const at = extraArgs.findLastIndex((word) => paramOf(word) === "served_model_name");
  const [, inline] = extraArgs[at]?.split("=", 2) ?? [];
  const given = at < 0 ? params["served_model_name"] : (inline ?? extraArgs[at + 1]);
  const first: unknown = Array.isArray(given) ? given[0] : given;
  return first === undefined || first === null ? model : String(first);
}

function keyOf({ params, envs }: RoleSpec): string | undefined {
  const given = params["api_key"];
  const first: unknown = Array.isArray(given) ? given[0] : given;
  return typeof first === "string" ? first : envs["VLLM_API_KEY"];
}
