import type { Role } from "../../domain/role.ts";
import type { Policy, WithoutPrefill } from "../../domain/selection.ts";

/** See `src/domain/selection.ts`. */
export interface Selection {
  readonly policy: Readonly<Record<Role, Policy>>;
  readonly prefixBytes: number;
  readonly rampMs: number;
  /** Infinity = never. */
  readonly silenceMs: number;
  readonly ejectionMs: number;
  readonly withoutPrefill: WithoutPrefill;
}

/** The program's command line, which is rendered by `src/render/proxy.ts`. */
export const selectionFlags = {
  "select-prefill": { type: "string", default: "least-loaded" },
  "select-decode": { type: "string", default: "least-loaded" },
  "prefix-bytes": { type: "string", default: "1024" },
  ramp: { type: "string", default: "10" },
  silence: { type: "string", default: "20" },
  ejection: { type: "string", default: "10" },
  "without-prefill": { type: "string", default: "fail" },
} as const;

type Flag = keyof typeof selectionFlags;

const policies: readonly Policy[] = ["least-loaded", "power-of-two", "prefix-affinity"];
const waysWithout: readonly WithoutPrefill[] = ["fail", "decode-local"];

/** Throws what is wrong with a value, in words for the log. */
export function readSelection(values: Readonly<Record<Flag, string>>): Selection {
  const oneOf = <T extends string>(flag: Flag, allowed: readonly T[]): T => {
    const found = allowed.find((one) => one === values[flag]);
    if (found === undefined)
      throw new Error(`--${flag} is one of ${allowed.join(", ")}, not ${values[flag]}`);
    return found;
  };
  const number = (flag: Flag): number => {
    if (!/^\d+$/.test(values[flag]))
      throw new Error(`--${flag} is a whole number, not ${values[flag]}`);
    return Number(values[flag]);
  };
  return {
    policy: {
      prefill: oneOf("select-prefill", policies),
      decode: oneOf("select-decode", policies),
    },
    prefixBytes: number("prefix-bytes"),
    rampMs: number("ramp") * 1_000,
    silenceMs: number("silence") === 0 ? Infinity : number("silence") * 1_000,
    ejectionMs: number("ejection") * 1_000,
    withoutPrefill: oneOf("without-prefill", waysWithout),
  };
}

const defaults = Object.fromEntries(
  Object.entries(selectionFlags).map(([flag, { default: value }]) => [flag, value]),
) as Record<Flag, string>;

export const defaultSelection: Selection = readSelection(defaults);
