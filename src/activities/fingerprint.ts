import { createHash } from "node:crypto";

const digits = 16;

/** The same for the same JSON: tells commands and observations apart. */
export const fingerprint = (value: unknown): string =>
  createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, digits);
