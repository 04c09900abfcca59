import { textOf } from "../bytes/edit.ts";
import type { JsonObject } from "../bytes/json.ts";

/*
 * Which prefill engine has probably seen the beginning of a prompt before: rendezvous hashing (Thaler and Ravishankar,
 * 1996). Each member has a score for each prefix, and the highest takes it. A member that leaves gives up its own
 * prefixes and no others; one that comes takes its share from all.
 */

/** FNV-1a, 32 bits. */
const offsetBasis = 0x811c9dc5;
const prime = 0x01000193;

/** Of the first `bytesMax` bytes of the prompt's JSON text; undefined for a body without one. */
export function prefixHashOf(body: JsonObject, bytesMax: number): number | undefined {
  const prompt = textOf(body, "prompt") ?? textOf(body, "messages");
  return prompt && hashOf(prompt.subarray(0, bytesMax));
}

/** The members from the highest score of this prefix to the lowest, ties by name. */
export function rendezvous<M extends { readonly name: string }>(
  members: readonly M[],
  prefixHash: number,
): readonly M[] {
  const scored = members.map((member) => ({
    member,
    score: mix(hashOf(Buffer.from(member.name)) ^ prefixHash),
  }));
  return scored
    .toSorted((a, b) => b.score - a.score || (a.member.name < b.member.name ? -1 : 1))
    .map(({ member }) => member);
}

function hashOf(bytes: Uint8Array): number {
  let hash = offsetBasis;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, prime);
  return hash >>> 0;
}

/** MurmurHash3's finalizer: two inputs that differ in one bit differ in half of the result's. */
function mix(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
