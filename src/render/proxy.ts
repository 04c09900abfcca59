import type { ProxyCommand } from "../domain/action.ts";
import { defaultProxyLimits } from "../domain/exposure.ts";
import { PdjobError } from "../domain/errors.ts";
import type { Member } from "../domain/observed.ts";
import {
  isSamePort,
  parsePlaceholder,
  placeholdersIn,
  portName,
  proxyPlaceholders,
} from "../domain/proxy-placeholders.ts";
import type { ProxyPlaceholder } from "../domain/proxy-placeholders.ts";
import { passesByStore } from "../domain/proxy-start.ts";
import { defaultSelection } from "../domain/selection.ts";
import type { JobSpec, SchedulerSpec } from "../domain/spec.ts";
import { isTemplate } from "./placeholders.ts";

/** Where the runner writes the built-in proxy's program, relative to the working directory that is its cwd. */
export const builtinProgram = ".pdjob/pdjob-proxy.mjs";

/**
 * The proxy's command for these members, in the order of their indexes. A list placeholder that is a whole word becomes
 * several words, inside a word it is joined by commas, and a word that names each member is there once for each.
 * Fails with SpecInvalid for an index that no member has.
 */
export function renderProxy(spec: JobSpec, members: readonly Member[]): ProxyCommand {
  const { command, port } = spec.scheduler;
  if (!command) {
    const argv = ["node", builtinProgram, "--port", String(port), "--job", spec.name];
    // What its guard gives it, so that it is not killed while it still drains.
    argv.push("--drain-timeout", String(spec.stopGraceS));
    if (passesByStore(spec)) argv.push("--hand-over", "store");
    argv.push(...selectionWords(spec.scheduler));
    argv.push(...limitWords(spec.scheduler));
    return { builtin: true, argv, members };
  }
  const argv = command.flatMap((word) =>
    fillWords(fillPort(word, port), members, "scheduler.command"),
  );
  return { builtin: false, argv, members };
}

/** `${PORT}` is a variable of the shell that the command starts. */
const fillPort = (word: string, port: number): string =>
  word.replaceAll("{PORT}", (whole, at: number) =>
    word[at - 1] === "$" || isTemplate(word, whole, at) ? whole : String(port),
  );

/** Only what differs from the program's own defaults. */
function selectionWords({ selection = defaultSelection, degraded }: SchedulerSpec): string[] {
  const flags = {
    prefill: "--select-prefill",
    decode: "--select-decode",
    prefixBytes: "--prefix-bytes",
    rampS: "--ramp",
    silenceS: "--silence",
    ejectionS: "--ejection",
  } as const satisfies Record<keyof typeof selection, string>;
  const words = Object.entries(flags).flatMap(([key, flag]) => {
    const value = selection[key as keyof typeof flags];
    return value === defaultSelection[key as keyof typeof flags] ? [] : [flag, String(value)];
  });
  return degraded?.prefill === "decode-local"
    ? [...words, "--without-prefill", "decode-local"]
    : words;
}

/** The same of its limits. */
function limitWords({ limits: given }: SchedulerSpec): string[] {
  const limits = { ...defaultProxyLimits, ...given };
  const flags = {
    bodyMibMax: "--max-body-mib",
    memoryMibMax: "--max-memory-mib",
    requestsMax: "--max-requests",
    waitingMax: "--max-waiting",
    waitS: "--max-wait",
  } as const satisfies Record<keyof typeof limits, string>;
  return Object.entries(flags).flatMap(([key, flag]) => {
    const value = limits[key as keyof typeof flags];
    return value === defaultProxyLimits[key as keyof typeof flags] ? [] : [flag, String(value)];
  });
}

/** `$PREFILL_URLS` alone becomes a text for each member, and so does what holds `$PREFILL_URL`; any other stays one. */
export function fillWords(text: string, members: readonly Member[], where: string): string[] {
  const name = /^\$(?:\{(\w+)\}|(\w+))$/.exec(text);
  const whole = name && parsePlaceholder(name[1] ?? name[2] ?? "");
  if (whole && whole.part !== "COUNT" && whole.of === "all")
    return valuesOf(whole, text, members, where);
  const each = placeholdersIn([text]).filter(({ of }) => of === "each");
  const [first] = each;
  if (!first) return [fillText(text, members, where)];
  if (each.some(({ role }) => role !== first.role))
    throw new PdjobError("SpecInvalid", `${where} names each replica of both roles in ${text}.`);
  return members
    .filter(({ role }) => role === first.role)
    .map((member) => fillText(text, members, where, member));
}

/** Lists inside a longer text are joined by commas. Fails with SpecInvalid for what no member has. */
export const fillText = (
  text: string,
  members: readonly Member[],
  where: string,
  each?: Member,
): string =>
  text.replaceAll(proxyPlaceholders(), (whole, braced?: string, bare?: string) => {
    const meaning = parsePlaceholder(braced ?? bare ?? "");
    if (!meaning) return whole;
    const of = meaning.of === "each" && each ? [each] : members;
    return valuesOf(meaning, whole, of, where).join(",");
  });

function valuesOf(
  { role, part, of }: ProxyPlaceholder,
  whole: string,
  members: readonly Member[],
  where: string,
): string[] {
  const own = members.filter((member) => member.role === role);
  if (part === "COUNT") return [String(own.length)];
  const named = typeof of === "number" ? own.slice(of, of + 1) : own;
  if (typeof of === "number" && named.length === 0) {
    const message = `${where} names ${whole}, but there are ${own.length} ${role} replicas to name.`;
    throw new PdjobError("SpecInvalid", message);
  }
  return named.map((member) => {
    const value = partOf(part, member);
    if (value !== undefined) return value;
    const has = Object.keys(member.ports ?? {}).join(", ") || "none but HTTP";
    const message = `${where} names ${whole}, but ${role} engines have no port ${portName(part)}; they have ${has}.`;
    throw new PdjobError("SpecInvalid", message);
  });
}

/** HOST, PORT or URL of a member, or the port that NAME_PORT names; undefined when it has none of that name. */
export function partOf(part: string, { ports = {}, url }: Member): string | undefined {
  if (part === "URL") return url;
  const wanted = portName(part);
  if (wanted !== undefined) {
    const own = Object.entries(ports).find(([name]) => isSamePort(name, wanted));
    return own && String(own[1]);
  }
  // Splits by hand: a host that is not known yet (`<prefill-0.host>`) is no valid URL.
  const authority = url.replace(/^http:\/\//, "");
  const colon = authority.lastIndexOf(":");
  return part === "HOST"
    ? authority.slice(0, colon).replaceAll(/^\[|\]$/g, "")
    : authority.slice(colon + 1);
}
