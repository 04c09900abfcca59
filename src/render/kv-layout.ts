import { traitOf } from "../domain/connectors/trait.ts";
import type { Trait } from "../domain/connectors/connector.ts";
import { unknowable, writtenParam } from "../domain/given.ts";
import type { Told } from "../domain/given.ts";
import { roles } from "../domain/role.ts";
import type { JobSpec, RoleSpec } from "../domain/spec.ts";

/** What KV that is kept in files is worth nothing without: engines write it under the prompt's name alone. */
const traits: readonly Trait[] = ["model", "dtype", "kv_cache_dtype", "block_size"];
const params = ["revision", "quantization"] as const;

/**
 * Names the layout of a job's KV: the same for both roles, and another when model, layout or vLLM are others. It is not
 * made of `kvRevision`, of which each role has its own: a role that changes alone goes on with the partners that stay, so
 * that only what both roles say alike counts.
 */
export function kvLayoutOf(spec: JobSpec): string {
  const [prefill, decode] = roles.map((role) => factsOf(spec.roles[role]));
  const alike = Object.entries(prefill ?? {}).filter(
    ([name, value]) => value !== undefined && decode?.[name] === value,
  );
  return digest(JSON.stringify([spec.engineCommand, spec.engineVersion ?? "", alike]));
}

function factsOf({
  model,
  params: told,
  extraArgs,
}: RoleSpec): Readonly<Record<string, string | undefined>> {
  const side = { params: { ...told, ...(model === undefined ? {} : { model }) }, extraArgs };
  const ofTraits = traits.map((trait) => {
    const value = traitOf(side, trait);
    return [trait, value === unknowable ? asWritten(side, trait) : value.same] as const;
  });
  const ofParams = params.map((name) => [name, asWritten(side, name)] as const);
  return Object.fromEntries([...ofTraits, ...ofParams]);
}

/** What holds a placeholder is another model, too, when it is written in another way. */
function asWritten(told: Told, param: string): string | undefined {
  const value = writtenParam(told, param);
  return value === unknowable ? undefined : JSON.stringify(value);
}

/** FNV-1a of 64 bits, in hex: it tells a handful of layouts apart, and keeps nothing secret. */
function digest(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text))
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(16).padStart(16, "0");
}
