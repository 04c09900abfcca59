import { createHash, timingSafeEqual } from "node:crypto";
import type { ProxyKeys, proxyKeysVariable as VariableOfKeys } from "../../domain/exposure.ts";
import { parseBody } from "../bytes/body.ts";

/** What a path is for. open = whoever asks. */
export type Scope = "open" | "inference" | "admin";

/** Digests of keys. One of admin's opens what one of inference's does, too. */
export interface Keys {
  readonly inference: readonly Buffer[];
  readonly admin: readonly Buffer[];
}

export type Access = "granted" | "missing" | "unknown" | "too little";

/**
 * Whether a request with this Authorization header may ask for something of that scope. Digests are compared in constant time,
 * and all of them, so that nothing about a key can be told from how long an answer takes.
 */
export function accessOf(keys: Keys, authorization: string | undefined, scope: Scope): Access {
  if (scope === "open") return "granted";
  const key = /^bearer +(\S.*)$/i.exec(authorization ?? "")?.[1]?.trimEnd();
  if (key === undefined) return "missing";
  const digest = createHash("sha256").update(key, "latin1").digest();
  const isAdmin = isAmong(keys.admin, digest);
  const isInference = isAmong(keys.inference, digest);
  if (isAdmin) return "granted";
  if (!isInference) return "unknown";
  return scope === "inference" ? "granted" : "too little";
}

const isAmong = (digests: readonly Buffer[], digest: Buffer): boolean =>
  digests.map((one) => timingSafeEqual(one, digest)).includes(true);

/** What a client is told, in OpenAI's words for it. */
export const denials = {
  missing: {
    status: 401,
    code: "invalid_api_key",
    message: "No API key was sent: send one as the header Authorization: Bearer KEY.",
  },
  unknown: {
    status: 401,
    code: "invalid_api_key",
    message: "The API key is not one of this proxy's.",
  },
  "too little": {
    status: 403,
    code: "insufficient_permissions",
    message:
      "The API key is not one of those that may ask for this: it takes one of scheduler.auth.admin.",
  },
} as const satisfies Readonly<Record<Exclude<Access, "granted">, object>>;

const digestBytes = 32;

/** Of the environment, as the orchestrator calls it in `src/domain/exposure.ts`. */
export const proxyKeysVariable: typeof VariableOfKeys = "PDJOB_PROXY_KEYS";

interface Given {
  readonly keys: Keys;
  readonly engines: ProxyKeys["engines"];
}

/** What the orchestrator gives; undefined for a job without keys. Throws when it is anything else: then nobody may come in. */
export function readKeys(text: string | undefined): Given | undefined {
  if (text === undefined) return undefined;
  const { inference, admin, engines } = parseBody(text) ?? {};
  const [one, other] = [digestsOf(inference), digestsOf(admin)];
  if (!one || !other || typeof engines !== "object" || engines === null)
    throw new Error(`${proxyKeysVariable} holds no keys as the orchestrator gives them`);
  return { keys: { inference: one, admin: other }, engines };
}

function digestsOf(value: unknown): readonly Buffer[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const digests = value.map((one) => Buffer.from(String(one), "base64"));
  return digests.every(({ length }) => length === digestBytes) ? digests : undefined;
}
