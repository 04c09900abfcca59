import type { Role } from "../../domain/role.ts";
import { didYouMean } from "../nearest.ts";
import { problem, warning } from "../problem.ts";
import type { Path, Problem } from "../problem.ts";
import type { Reading } from "../reading.ts";
import { splitCommand } from "../shell.ts";
import { strangePlaceholders } from "./placeholders.ts";

const commandPath: Path = ["scheduler", "command"];

/** With N standing for the number of a replica. */
const placeholders = ["PREFILL", "DECODE"].flatMap((role) => [
  ...["HOST", "PORT", "URL"].flatMap((part) => [`${role}_${part}_N`, `${role}_${part}S`]),
  `${role}_COUNT`,
]);

/** Different variables of a command that are looked at: more than 256 replicas a role can name, in both spellings. */
const variablesMax = 4000;
const variable = /\$(?:\{[A-Za-z_][A-Za-z0-9_]*\}|[A-Za-z_][A-Za-z0-9_]*)/g;
const unclosed = /\$\{(?:PREFILL|DECODE)_[A-Z0-9_]*(?![A-Z0-9_}])/;
const numbered = /^(PREFILL|DECODE)_(?:HOST|PORT|URL)_(\d+)$/;
const shells = /(?:^|\/)(?:ba|da|z|k)?sh$/;

export function membershipFitsTheProxy({ draft, isBroken }: Reading): readonly Problem[] {
  const path = ["scheduler", "membership"];
  const { membership, command } = draft.scheduler ?? {};
  if (membership === undefined || isBroken(commandPath)) return [];
  if (membership === "builtin" && command !== undefined) {
    return [
      problem(
        path,
        "is builtin, but scheduler.command starts another proxy: remove one of the two, or write restart or none.",
      ),
    ];
  }
  if (membership !== "builtin" && command === undefined) {
    return [
      problem(
        path,
        `is ${membership}, but there is no scheduler.command: give one, or remove membership (the built-in proxy is told live).`,
      ),
    ];
  }
  return [];
}

export function commandsAreCommands({ draft }: Reading): readonly Problem[] {
  return [
    ...commandProblems(["engine", "command"], draft.engine?.command),
    ...commandProblems(commandPath, draft.scheduler?.command),
  ];
}

function commandProblems(path: Path, text: string | undefined): readonly Problem[] {
  if (text === undefined) return [];
  const split = splitCommand(text);
  if (!split.ok) return [problem(path, split.message)];
  if (split.words.length > 0 && split.words[0] !== "") return [];
  return [problem(path, "names no program: write a command, or leave the key out.")];
}

/** Every `$…` and `{…}` of the proxy's command will be filled, or is said to be left as it is. */
export function commandPlaceholdersAreKnown({ draft }: Reading): readonly Problem[] {
  const text = draft.scheduler?.command;
  if (text === undefined) return [];
  const replicas = { prefill: draft.prefill?.replicas, decode: draft.decode?.replicas };
  const variables = [...new Set(text.match(variable))].slice(0, variablesMax);
  const isShell = shells.test(text.trim().split(/\s/, 1)[0] ?? "");
  const open = unclosed.exec(text)?.[0];
  return [
    ...(open === undefined
      ? []
      : [problem(commandPath, `holds ${open} without its closing brace: write ${open}}.`)]),
    ...strangePlaceholders(commandPath, text.replaceAll("${", "$\0"), ["PORT"]),
    ...variables.flatMap((whole) => {
      const name = whole.replace(/[${}]/g, "");
      if (numbered.test(name)) return indexProblems(whole, name, replicas);
      const isKnown = placeholders.includes(name) && !name.endsWith("_N");
      return isKnown ? [] : strange(whole, name, isShell);
    }),
  ];
}

function indexProblems(
  whole: string,
  name: string,
  replicas: Readonly<Record<Role, number | undefined>>,
): readonly Problem[] {
  const [, side = "", digits = ""] = numbered.exec(name) ?? [];
  const role: Role = side === "PREFILL" ? "prefill" : "decode";
  const count = replicas[role];
  if (digits.startsWith("0")) {
    return [problem(commandPath, `holds ${whole}, but replicas are counted from 1.`)];
  }
  if (count === undefined || Number(digits) <= count) return [];
  return [
    problem(
      commandPath,
      `holds ${whole}, but ${role}.replicas is ${count}: use 1 to ${count}, raise ${role}.replicas, or name them all with $${side}_HOSTS, $${side}_PORTS or $${side}_URLS.`,
    ),
  ];
}

/** `$HOME` is left alone, but `$PREFIL_HOST_1` must not reach the proxy's command line. */
function strange(whole: string, name: string, isShell: boolean): readonly Problem[] {
  const numberless = name.replace(/\d+$/, "N");
  const meant = didYouMean(numberless, placeholders).replace(/([A-Z_]+)\?$/, "$$$1?");
  if (meant !== "" || /^(?:PREFILL|DECODE)_/.test(name)) {
    const list = placeholders.map((one) => `$${one}`).join(", ");
    return [
      problem(
        commandPath,
        `holds ${whole}, which is no placeholder.${meant === "" ? ` Known: {PORT}, ${list}.` : meant}`,
      ),
    ];
  }
  if (isShell) return [];
  return [
    warning(
      commandPath,
      `holds ${whole}, which stays as it is, since no shell runs the command: write the value, or start with sh -c.`,
    ),
  ];
}

/** A proxy that is not told its port listens elsewhere, and nobody finds it. */
export function proxyIsToldItsPort({ draft }: Reading): readonly Problem[] {
  const { command, port } = draft.scheduler ?? {};
  if (command === undefined || port === undefined || command.trim() === "") return [];
  if (command.includes("{PORT}") || command.includes(String(port))) return [];
  return [
    warning(
      commandPath,
      `does not tell the proxy its port: add {PORT}, such as --port {PORT}, or set scheduler.port to the port it takes by itself.`,
    ),
  ];
}
