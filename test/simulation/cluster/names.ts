import { parseIncarnation } from "../../../src/domain/names.ts";
import type { Role } from "../../../src/domain/role.ts";

/** agent/pdjob_agent/names.py: `base` is the name without its generation, which is what a newer generation fences. */
export interface Name {
  readonly full: string;
  readonly job: string;
  readonly base: string;
  readonly generation: number;
  readonly replica?: { readonly role: Role; readonly index: number };
}

export function parseName(full: string): Name | undefined {
  const base = full.replace(/-g\d+$/, "");
  const replica = parseIncarnation(full);
  if (replica) {
    const { job, generation, role, index } = replica;
    return { full, job, base, generation, replica: { role, index } };
  }
  const [, job, generation] = /^(.+)-proxy-g(\d+)$/.exec(full) ?? [];
  return job === undefined ? undefined : { full, job, base, generation: Number(generation) };
}
