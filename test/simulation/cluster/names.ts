import { incarnationName, parseIncarnation, replicaName } from "../../../src/domain/names.ts";
import type { Role } from "../../../src/domain/role.ts";

/** agent/pdjob_agent/names.py: `base` is the name without generation and rank, which is what a newer generation fences. */
export interface Name {
  readonly full: string;
  readonly job: string;
  readonly base: string;
  /** Of all ranks together: of their placement group, and of rank 0. */
  readonly whole: string;
  readonly generation: number;
  readonly rank: number;
  readonly replica?: { readonly role: Role; readonly index: number };
}

const known = new Map<string, Name | undefined>();

/** Few names are asked for again and again, by whoever looks at Ray's tables, in every story. */
export function parseName(full: string): Name | undefined {
  if (!known.has(full)) known.set(full, read(full));
  return known.get(full);
}

function read(full: string): Name | undefined {
  const parsed = parseIncarnation(full);
  if (parsed) {
    const { job, generation, role, index, rank } = parsed;
    const replica = { role, index };
    const whole = incarnationName(job, replica, generation);
    return { full, job, base: `${job}-${replicaName(replica)}`, whole, generation, rank, replica };
  }
  const [, job, generation] = /^(.+)-proxy-g(\d+)$/.exec(full) ?? [];
  if (job === undefined) return undefined;
  return { full, job, base: `${job}-proxy`, whole: full, generation: Number(generation), rank: 0 };
}
