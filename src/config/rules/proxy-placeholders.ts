import { configuredConnectors } from "../../domain/connectors/children.ts";
import { isSamePort, parsePlaceholder, portName } from "../../domain/proxy-placeholders.ts";
import type { ProxyPlaceholder } from "../../domain/proxy-placeholders.ts";
import type { Role } from "../../domain/role.ts";
import type { KvTransferConfig } from "../../domain/spec.ts";
import { readKv } from "../kv.ts";
import { didYouMean } from "../nearest.ts";
import { nodeAt, scalarsBelow } from "../node.ts";
import { problem, warning } from "../problem.ts";
import type { Path, Problem } from "../problem.ts";
import type { Reading } from "../reading.ts";
import { splitCommand } from "../shell.ts";
import { strangePlaceholders } from "./placeholders.ts";
import { commandPath } from "./scheduler.ts";

/** For suggestions; N stands for the number of a replica. */
const spellings = ["PREFILL", "DECODE"].flatMap((side) => [
  ...["HOST", "PORT", "URL"].flatMap((part) => ["_N", "S", ""].map((of) => `${side}_${part}${of}`)),
  `${side}_COUNT`,
]);
const known =
  "Known: {PORT}; $PREFILL_HOST_N, $PREFILL_HOSTS and $PREFILL_HOST, the same with PORT, URL and NAME_PORT; $PREFILL_COUNT; all of them with DECODE.";

/** Different variables of a text that are looked at: more than 256 replicas a role can name, in both spellings. */
const variablesMax = 4000;
const variable = /\$(?:\{[A-Za-z_][A-Za-z0-9_]*\}|[A-Za-z_][A-Za-z0-9_]*)/g;
const unclosed = /\$\{(?:PREFILL|DECODE)_[A-Z0-9_]*(?![A-Z0-9_}])/;
const shells = /(?:^|\/)(?:ba|da|z|k)?sh$/;

/** Every `$…` and `{…}` of the proxy's command will be filled, or is said to be left as it is. */
export function commandPlaceholdersAreKnown(reading: Reading): readonly Problem[] {
  const text = reading.draft.scheduler?.command;
  if (text === undefined) return [];
  const isShell = shells.test(text.trim().split(/\s/, 1)[0] ?? "");
  const split = splitCommand(text);
  const open = unclosed.exec(text)?.[0];
  return [
    ...(open === undefined
      ? []
      : [problem(commandPath, `holds ${open} without its closing brace: write ${open}}.`)]),
    ...strangePlaceholders(commandPath, text.replaceAll("${", "$\0"), ["PORT"]),
    ...variablesOf(text).flatMap(({ whole, name, meaning }) => {
      if (meaning) return meaningProblems(commandPath, whole, name, meaning, reading);
      const strange = strangeVariable(commandPath, whole, name);
      return strange.length > 0 || isShell ? strange : [unfilled(whole)];
    }),
    ...(split.ok ? bothSides(commandPath, split.words, "word") : []),
  ];
}

/** The same of the file that the proxy watches: `{…}` is nothing special there, and replicas come and go. */
export function filePlaceholdersAreKnown(reading: Reading): readonly Problem[] {
  const path: Path = ["scheduler", "file", "content"];
  const node = nodeAt(reading.root, path);
  if (node === undefined || reading.isBroken(path)) return [];
  return [...scalarsBelow(node, path)].flatMap(({ path: at, value }) => {
    if (typeof value !== "string") return [];
    const found = variablesOf(value).flatMap(({ whole, name, meaning }) => {
      if (!meaning) return strangeVariable(at, whole, name);
      if (typeof meaning.of !== "number") return meaningProblems(at, whole, name, meaning, reading);
      const one = `$${name.replace(/_\d+$/, "")}`;
      const message = `holds ${whole}, but replicas come and go while the proxy runs: write ${one}S for all of them, or ${one} in a line of its own for each.`;
      return [problem(at, message)];
    });
    return [...found, ...bothSides(at, value.split("\n"), "line")];
  });
}

function variablesOf(text: string): readonly {
  readonly whole: string;
  readonly name: string;
  readonly meaning: ProxyPlaceholder | undefined;
}[] {
  return [...new Set(text.match(variable))].slice(0, variablesMax).map((whole) => {
    const name = whole.replace(/[${}]/g, "");
    return { whole, name, meaning: parsePlaceholder(name) };
  });
}

function meaningProblems(
  path: Path,
  whole: string,
  name: string,
  { role, part, of }: ProxyPlaceholder,
  reading: Reading,
): readonly Problem[] {
  const count = reading.draft[role]?.replicas;
  if (/_0\d*$/.test(name))
    return [problem(path, `holds ${whole}, but replicas are counted from 1.`)];
  if (typeof of === "number" && count !== undefined && of >= count) {
    const side = role.toUpperCase();
    const message = `holds ${whole}, but ${role}.replicas is ${count}: use 1 to ${count}, raise ${role}.replicas, or name them all with $${side}_HOSTS, $${side}_PORTS or $${side}_URLS.`;
    return [problem(path, message)];
  }
  const port = portName(part);
  const ports = port === undefined ? [] : portsOf(reading, role);
  if (port === undefined || ports.some((one) => isSamePort(one, port))) return [];
  const has =
    ports.length > 0 ? `They have ${ports.join(", ")}` : "They have their HTTP port alone";
  const message = `holds ${whole}, but ${role} engines have no port called ${port}. ${has}: name one with {PORT:${port}} in ${role}'s params or envs.`;
  return [problem(path, message)];
}

/** Names of the ports that a role's engines get, as their parameters and their connector ask for them. */
export function portsOf(reading: Reading, role: Role): readonly string[] {
  const places: readonly Path[] = [
    ["envs"],
    ...["general", role].flatMap((section) => [
      [section, "envs"],
      [section, "params"],
    ]),
  ];
  const own = places.flatMap((place) => {
    const node = nodeAt(reading.root, place);
    return node === undefined
      ? []
      : [...scalarsBelow(node, place)].map(({ value }) => String(value));
  });
  const { config } = readKv(reading, role);
  const needs = configuredConnectors((config ?? { kv_connector: "" }) as KvTransferConfig)
    .flatMap(({ known: connector }) => connector?.needs ?? [])
    .filter((need) => need.role === undefined || need.role === role);
  const text = [...own, JSON.stringify(needs)].join("\n");
  return [...new Set([...text.matchAll(/\{#?PORT:([a-z0-9_-]+)/g)].map(([, name]) => name ?? ""))];
}

/** `$PREFIL_HOST_1` must not reach the proxy; `$HOME` is no business of ours. */
function strangeVariable(path: Path, whole: string, name: string): readonly Problem[] {
  const numberless = name.replace(/\d+$/, "N");
  const meant = didYouMean(numberless, spellings).replace(/([A-Z_]+)\?$/, "$$$1?");
  if (meant === "" && !/^(?:PREFILL|DECODE)_/.test(name)) return [];
  return [
    problem(path, `holds ${whole}, which is no placeholder.${meant === "" ? ` ${known}` : meant}`),
  ];
}

const unfilled = (whole: string): Problem =>
  warning(
    commandPath,
    `holds ${whole}, which stays as it is, since no shell runs the command: write the value, or start with sh -c.`,
  );

/** A word or line that is repeated for each prefill replica cannot be repeated for each decode replica as well. */
function bothSides(path: Path, pieces: readonly string[], what: string): readonly Problem[] {
  const faulty = pieces.find((piece) => {
    const each = variablesOf(piece).flatMap(({ meaning }) =>
      meaning?.of === "each" ? [meaning.role] : [],
    );
    return new Set(each).size > 1;
  });
  if (faulty === undefined) return [];
  return [
    problem(
      path,
      `names each prefill and each decode replica in one ${what}, which is repeated for one of them only: use a list, such as $PREFILL_URLS, for the other.`,
    ),
  ];
}
