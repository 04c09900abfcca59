import { replicasMax } from "./scale.ts";
import { policies, withoutPrefill } from "./selection.ts";
import type { JobSpec } from "./spec.ts";

/*
 * Specs come to a running job from scripts, too, and whatever is taken stays in its history: what is none would fail every
 * plan from then on. Keys that are not known here are those of a newer version's.
 */

/**
 * Bytes of a spec as JSON. Temporal takes 2 MB in one piece, and when a job continues as new that holds the spec once,
 * and the revisions that can be gone back to: two of them at least.
 */
export const specBytesMax = 512 * 1024;

/** What is wrong with a value at that path: what it must be. Undefined when it is sound. */
type Check = (value: unknown, path: string) => string | undefined;

/** The first thing for which a value is no spec: `spec.roles.prefill.replicas must be …`. */
export const specProblem = (value: unknown): string | undefined => spec(value, "spec");

/** Why a spec is too large to be kept by a job, or undefined when it is not. */
export function sizeProblem(value: JobSpec): string | undefined {
  const bytes = bytesOf(value);
  if (bytes <= specBytesMax) return undefined;
  const [is, most] = [bytes, specBytesMax].map((count) => Math.ceil(count / 1024));
  return `The job's description takes ${is} KiB, those of general counted for both roles, and ${most} KiB can be kept with it in Temporal. Put long files into a folder that is sent with \`upload\`.`;
}

export const bytesOf = (value: unknown): number =>
  new TextEncoder().encode(JSON.stringify(value)).length;

const must =
  (what: string, test: (value: unknown) => boolean): Check =>
  (value, path) =>
    test(value) ? undefined : `${path} must be ${what}`;

const isWhole = (value: unknown, least: number, most = Number.MAX_SAFE_INTEGER): boolean =>
  Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most;

const text = must("a text", (value) => typeof value === "string");
const flag = must("true or false", (value) => typeof value === "boolean");
const anything: Check = () => undefined;
const number = must(
  "a number that is not negative",
  (value) => typeof value === "number" && Number.isFinite(value) && value >= 0,
);
const whole = (least: number, most?: number): Check =>
  must(
    most === undefined ? `a whole number from ${least}` : `a whole number from ${least} to ${most}`,
    (value) => isWhole(value, least, most),
  );

const optional =
  (check: Check): Check =>
  (value, path) =>
    value === undefined ? undefined : check(value, path);

const list =
  (each: Check, least = 0): Check =>
  (value, path) =>
    Array.isArray(value) && value.length >= least
      ? firstOf(value.map((one, at) => each(one, `${path}[${at}]`)))
      : `${path} must be a list`;

const record =
  (each: Check): Check =>
  (value, path) =>
    isObject(value)
      ? firstOf(Object.entries(value).map(([key, one]) => each(one, `${path}.${key}`)))
      : `${path} must be an object`;

const object =
  (fields: Readonly<Record<string, Check>>): Check =>
  (value, path) =>
    isObject(value)
      ? firstOf(Object.entries(fields).map(([key, check]) => check(value[key], `${path}.${key}`)))
      : `${path} must be an object`;

const firstOf = (problems: readonly (string | undefined)[]): string | undefined =>
  problems.find((one) => one !== undefined);

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const perRole = (check: Check): Check => object({ prefill: check, decode: check });

const call = object({
  method: text,
  url: text,
  headers: record(text),
  accept: list(whole(100, 599)),
});

const oneOf = (values: readonly string[]): Check =>
  must(values.join(", "), (value) => values.some((one) => one === value));

const selection = object({
  prefill: oneOf(policies.prefill),
  decode: oneOf(policies.decode),
  prefixBytes: whole(1),
  rampS: number,
  silenceS: number,
  ejectionS: number,
});

const reference = must(
  "a reference env:NAME or file:/PATH",
  (value) => typeof value === "string" && /^(?:env:|file:\/)./.test(value),
);

const scheduler = object({
  port: whole(1, 65_535),
  command: optional(list(text, 1)),
  membership: oneOf(["builtin", "restart", "http", "file", "none"]),
  http: optional(
    object({
      add: optional(perRole(call)),
      remove: optional(perRole(call)),
      list: optional(call),
    }),
  ),
  file: optional(object({ path: text, content: anything })),
  selection: optional(selection),
  degraded: optional(object({ prefill: oneOf(withoutPrefill), decode: oneOf(["fail"]) })),
  limits: optional(
    object({
      bodyMibMax: whole(1),
      memoryMibMax: optional(whole(1)),
      requestsMax: whole(1),
      waitingMax: whole(0),
      waitS: number,
    }),
  ),
  auth: optional(object({ inference: list(reference, 1), admin: list(reference) })),
});

const role = object({
  numGpus: number,
  replicas: whole(1, replicasMax),
  envs: record(text),
  params: record(anything),
  model: optional(text),
  kvTransfer: object({ kv_connector: text }),
  files: optional(record(text)),
  extraArgs: list(text),
  revision: optional(text),
  kvRevision: optional(text),
});

const spec = object({
  name: text,
  timeoutS: number,
  numGpus: number,
  gpusPerWorker: whole(1),
  numCpus: number,
  workingDir: text,
  upload: optional(text),
  envs: record(text),
  engineCommand: list(text, 1),
  engineVersion: optional(text),
  scheduler,
  roles: perRole(role),
  restart: object({ restartsMax: whole(0), windowS: number }),
  rollout: optional(object({ surge: whole(0), unavailable: whole(0), attempts: whole(1) })),
  health: optional(
    object({ intervalS: number, timeoutS: number, failures: whole(1), stallS: optional(number) }),
  ),
  canary: optional(flag),
  drainS: perRole(number),
  drainQuietS: optional(number),
  stopGraceS: number,
  leaseS: number,
});
