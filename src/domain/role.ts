/** The two halves of a prefill/decode job. The order here is the order in which everything iterates. */
export const roles = ["prefill", "decode"] as const;

export type Role = (typeof roles)[number];

/** Which replica of a job: its role and its index within that role, from 0. */
export interface ReplicaId {
  readonly role: Role;
  readonly index: number;
}
