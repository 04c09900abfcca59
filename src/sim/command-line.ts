import { flagAliases, flagChoices, flagKinds } from "./flags.ts";
import type { FlagKind } from "./flags.ts";

/** A command line that vLLM would refuse; `main` prints it and exits 2, as argparse does. */
export class UsageError extends Error {
  /** Which of vLLM's two parsers says so. */
  readonly program: "vllm" | "vllm serve";
  constructor(message: string, program: UsageError["program"] = "vllm serve") {
    super(message);
    this.program = program;
  }
}

/** Every flag that was given, with its words; a switch has `true` or `false`. */
export type Flags = ReadonlyMap<string, readonly string[]>;

interface Given {
  readonly name: string;
  readonly kind: FlagKind;
  readonly isNegated: boolean;
  /** What follows `=` in the same word. */
  readonly inline: string | undefined;
}

/** Reads flags as vLLM's argparse does: wrong values end it at once, strays and unknown flags are reported together. */
export function readFlags(words: readonly string[]): Flags {
  const flags = new Map<string, readonly string[]>();
  const unrecognized: string[] = [];
  let rest = words;
  while (rest.length > 0) {
    const [word = "", ...after] = rest;
    const given = readFlag(word);
    if (!given) {
      unrecognized.push(word);
      rest = after;
      continue;
    }
    const taken = given.inline === undefined ? wordsTaken(given.kind, after) : 0;
    const values = given.inline === undefined ? after.slice(0, taken) : [given.inline];
    check(given, values);
    flags.set(given.name, given.kind === "switch" ? [String(!given.isNegated)] : values);
    rest = after.slice(taken);
  }
  if (unrecognized.length > 0)
    throw new UsageError(`unrecognized arguments: ${unrecognized.join(" ")}`, "vllm");
  return flags;
}

/** `_` and `-` are the same; `--x.key` sets one key of a flag that takes a mapping. */
function readFlag(word: string): Given | undefined {
  const equals = word.startsWith("--") ? word.indexOf("=") : -1;
  const inline = equals < 0 ? undefined : word.slice(equals + 1);
  const spelled = equals < 0 ? word : word.slice(0, equals);
  const alias = flagAliases[spelled];
  if (alias === undefined && !spelled.startsWith("--")) return undefined;
  const written = alias ?? spelled.slice(2).replaceAll("_", "-").split(".", 1)[0] ?? "";
  const kind = flagKinds.get(written);
  if (kind !== undefined) return { name: written, kind, isNegated: false, inline };
  const positive = written.startsWith("no-") ? written.slice("no-".length) : "";
  return flagKinds.get(positive) === "switch"
    ? { name: positive, kind: "switch", isNegated: true, inline }
    : undefined;
}

function wordsTaken(kind: FlagKind, after: readonly string[]): number {
  if (kind === "switch" || kind === "bare") return 0;
  const end = after.findIndex((word) => /^-(?:-|[A-Za-z])/.test(word));
  const available = end < 0 ? after.length : end;
  return kind === "list" ? available : Math.min(available, 1);
}

function check({ name, kind, inline }: Given, values: readonly string[]): void {
  const fail = (why: string): never => {
    const alias = Object.keys(flagAliases).find((one) => flagAliases[one] === name);
    throw new UsageError(`argument --${name}${alias === undefined ? "" : `/${alias}`}: ${why}`);
  };
  if (kind === "switch" || kind === "bare")
    return inline === undefined ? undefined : fail(`ignored explicit argument '${inline}'`);
  const [value] = values;
  if (kind === "optional") return undefined;
  if (value === undefined)
    return fail(kind === "list" ? "expected at least one argument" : "expected one argument");
  const pattern = patterns[kind];
  if (pattern && !pattern.of.test(value)) fail(`invalid ${pattern.called} value: '${value}'`);
  const choices = flagChoices[name];
  if (choices && !choices.includes(value))
    fail(`invalid choice: '${value}' (choose from '${choices.join("', '")}')`);
}

const patterns: Readonly<
  Partial<Record<FlagKind, { readonly of: RegExp; readonly called: string }>>
> = {
  integer: { of: /^[+-]?\d+$/, called: "int" },
  number: { of: /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i, called: "float" },
  size: { of: /^-?\d+(?:\.\d+)?[kmgt]?$/i, called: "human_readable_int" },
};
