import { handOverBy } from "./connectors/children.ts";
import { givenParam } from "./given.ts";
import { roles } from "./role.ts";
import type { Role } from "./role.ts";
import type { JobSpec, RoleSpec } from "./spec.ts";

/** Whatever the proxy is told when it starts and cannot be told later: one with another has to be started anew. */
export function proxyStartOf(spec: JobSpec): unknown {
  const { scheduler, envs, stopGraceS } = spec;
  if (scheduler.command) return [scheduler, envs];
  const keys = scheduler.auth ? engineKeys(spec.roles) : {};
  return [scheduler, envs, stopGraceS, passesByStore(spec), keys];
}

/** Do the engines find KV by the prompt? Those of a connector that is not vLLM's own are taken to answer with parameters, as most do. */
export function passesByStore({ roles: { prefill } }: JobSpec): boolean {
  const found = handOverBy(prefill.kvTransfer, undefined);
  return typeof found === "object" && found.kind === "store";
}

/** What the engines of each role want in a request, as it is written in the config: maybe a reference `env:NAME` or `file:PATH`. */
export function engineKeys(of: JobSpec["roles"]): Readonly<Partial<Record<Role, string>>> {
  const keys = roles.flatMap((role) => {
    const key = keyOf(of[role]);
    return key === undefined ? [] : [[role, key]];
  });
  return Object.fromEntries(keys) as Partial<Record<Role, string>>;
}

function keyOf(role: RoleSpec): string | undefined {
  const given = givenParam(role, "api_key");
  const first: unknown = Array.isArray(given) ? given[0] : given;
  return typeof first === "string" ? first : role.envs["VLLM_API_KEY"];
}
