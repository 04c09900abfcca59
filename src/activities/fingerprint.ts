import { hash } from "node:crypto";

const digits = 16;

/** The same for the same JSON: tells commands and observations apart. */
export const fingerprint = (value: unknown): string =>
  hash("sha256", JSON.stringify(value), "hex").slice(0, digits);
