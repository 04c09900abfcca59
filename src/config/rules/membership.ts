import { namedMembers } from "../../domain/membership.ts";
import type { Member } from "../../domain/observed.ts";
import { roles } from "../../domain/role.ts";
import type { Role } from "../../domain/role.ts";
import { nodeAt, scalarsBelow } from "../node.ts";
import { problem, problemAtKey, warning } from "../problem.ts";
import type { Path, Problem } from "../problem.ts";
import type { Reading } from "../reading.ts";
import { splitCommand } from "../shell.ts";
import { strangePlaceholders } from "./placeholders.ts";
import { portsOf } from "./proxy-placeholders.ts";
import { commandPath } from "./scheduler.ts";

const path = (key: string): Path => ["scheduler", key];
const changes = ["add", "remove"] as const;
/** What a request may hold; `{PORT}` also with the name of a port. */
const memberNames = ["URL", "HOST", "PORT", "ROLE", "NODE_NAME", "INDEX", "GENERATION"] as const;
/** Those that do not tell one replica of a role from another. */
const alike = /\{#?(?:ROLE|GENERATION)\}/g;

export function membershipFitsTheProxy({ draft, isBroken }: Reading): readonly Problem[] {
  const { membership, command } = draft.scheduler ?? {};
  if (membership === undefined || isBroken(commandPath)) return [];
  if (membership === "builtin" && command !== undefined) {
    return [
      problem(
        path("membership"),
        "is builtin, but scheduler.command starts another proxy: remove one of the two, or write restart, http, file or none.",
      ),
    ];
  }
  if (membership !== "builtin" && command === undefined) {
    return [
      problem(
        path("membership"),
        `is ${membership}, but there is no scheduler.command: give one, or remove membership (the built-in proxy is told live).`,
      ),
    ];
  }
  return [];
}

/** `http` and `file` are given where they are used, one of them, and for a proxy that is not ours. */
export function membershipIsDescribed({ draft, isBroken }: Reading): readonly Problem[] {
  const { membership, command, http, file } = draft.scheduler ?? {};
  const missing = {
    http: "is http, but scheduler.http does not say how: give its requests, add and remove.",
    file: "is file, but scheduler.file does not say which: give its path.",
  } as const;
  const isMissing = (way: "http" | "file"): boolean =>
    membership === way && draft.scheduler?.[way] === undefined && !isBroken(path(way));
  const given = [...(http ? (["http"] as const) : []), ...(file ? (["file"] as const) : [])];
  const unused = given.filter((way) => membership !== undefined && membership !== way);
  return [
    ...(["http", "file"] as const)
      .filter(isMissing)
      .map((way) => problem(path("membership"), missing[way])),
    ...unused.map((way) =>
      problemAtKey(
        path(way),
        `is given, but scheduler.membership is ${membership}: write ${way} there, or remove this.`,
      ),
    ),
    ...(membership === undefined && given.length > 1
      ? [
          problemAtKey(
            path("file"),
            "is given beside scheduler.http, but a proxy is told in one way: remove one of the two.",
          ),
        ]
      : []),
    ...given
      .filter(() => membership === undefined && command === undefined && !isBroken(commandPath))
      .map((way) =>
        problemAtKey(
          path(way),
          "is given, but there is no scheduler.command: give the command of a proxy, or remove this (the built-in proxy is told live).",
        ),
      ),
  ];
}

export function requestsAreComplete(reading: Reading): readonly Problem[] {
  const { command, http } = reading.draft.scheduler ?? {};
  if (http === undefined) return [];
  if (changes.every((change) => http[change] === undefined && !isBrokenChange(reading, change))) {
    return [
      problemAtKey(
        path("http"),
        "needs add, remove or both: what is left out takes a restart of the proxy.",
      ),
    ];
  }
  const split = splitCommand(command ?? "");
  const isNamed = split.ok && namedMembers(split.words, anybody).length === anybody.length;
  const needsNames =
    http.add === undefined && !isBrokenChange(reading, "add") && command !== undefined;
  return [
    ...changes.flatMap((change) => requestProblems(reading, change)),
    ...(needsNames && !isNamed
      ? [
          problemAtKey(
            path("http"),
            "has no add, so that new replicas take a restart with another command line: name the replicas of both roles in scheduler.command, such as --prefill=$PREFILL_URL --decode=$DECODE_URL.",
          ),
        ]
      : []),
  ];
}

/** One replica of each role, whose names in a command say that it names that role. */
const anybody: readonly Member[] = roles.map((role) => ({ name: role, role, url: "http://h:1" }));

const isBrokenChange = ({ isBroken }: Reading, change: string): boolean =>
  isBroken(["scheduler", "http", change]);

function requestProblems(reading: Reading, change: "add" | "remove"): readonly Problem[] {
  const [prefill, decode] = roles.map((role) => requestFault(reading, change, role));
  // Roles that share a request share its faults.
  if (prefill && decode && prefill.message("") === decode.message(""))
    return [problemAtKey(prefill.at, prefill.message(""))];
  return [
    ...(prefill ? [problemAtKey(prefill.at, prefill.message("prefill "))] : []),
    ...(decode ? [problemAtKey(decode.at, decode.message("decode "))] : []),
  ];
}

interface Fault {
  readonly at: Path;
  /** `whose` is a role and a blank, or nothing. */
  readonly message: (whose: string) => string;
}

function requestFault(reading: Reading, change: "add" | "remove", role: Role): Fault | undefined {
  const at = ["scheduler", "http", change];
  const request = reading.draft.scheduler?.http?.[change];
  if (request === undefined) return undefined;
  const { body, headers, method = "POST", url } = { ...request, ...request[role] };
  if (url === undefined) {
    const isReported = reading.isBroken([...at, "url"]) || reading.isBroken([...at, role, "url"]);
    const message = (whose: string) =>
      `has no url for ${whose}replicas: give url, or one in prefill and one in decode.`;
    return isReported ? undefined : { at, message };
  }
  if (method === "GET" && body !== undefined) {
    const message = () => "is given, but a GET request has none: choose another method.";
    return { at: [...at, ...(request[role]?.body ? [role] : []), "body"], message };
  }
  const text = `${url}${JSON.stringify([body, headers])}`.replaceAll(alike, "");
  const message = (whose: string) =>
    `is the same for every ${whose}replica: put {URL}, {HOST} and {PORT}, or {NODE_NAME} into its url or body.`;
  return /\{#?[A-Z]/.test(text) ? undefined : { at, message };
}

export function requestPlaceholdersAreKnown(reading: Reading): readonly Problem[] {
  const place = path("http");
  const node = nodeAt(reading.root, place);
  if (node === undefined || reading.isBroken(place)) return [];
  return [...scalarsBelow(node, place)].flatMap(({ path: at, value }) => {
    if (typeof value !== "string" || reading.isBroken(at)) return [];
    const text = value.replaceAll("{#", "{");
    if (at[2] === "list")
      return /\{[A-Z][A-Z0-9_]*(?::[^{}]*)?\}/.test(text) ? [forNobody(at)] : [];
    const strange = strangePlaceholders(at, text, memberNames);
    return strange.length > 0 ? strange : portProblems(reading, at, text);
  });
}

const forNobody = (at: Path): Problem =>
  problem(
    at,
    "holds a placeholder, but the list is asked for once, and not for each replica: remove it.",
  );

function portProblems(reading: Reading, at: Path, text: string): readonly Problem[] {
  const own = roles.find((role) => at[3] === role);
  const asked = [
    ...new Set([...text.matchAll(/\{PORT:([a-z0-9_-]+)/g)].map(([, name]) => name ?? "")),
  ];
  return asked.flatMap((name) =>
    (own ? [own] : roles)
      .filter((role) => !portsOf(reading, role).includes(name))
      .map((role) =>
        problem(
          at,
          `holds {PORT:${name}}, but ${role} engines have no port of that name${elsewhere(own)}.`,
        ),
      ),
  );
}

const elsewhere = (own: Role | undefined): string =>
  own === undefined ? ": put what only one role has into its prefill or decode" : "";

/** A file that the proxy does not know of tells it nothing. */
export function fileIsKnownToTheProxy({ draft }: Reading): readonly Problem[] {
  const { command, file } = draft.scheduler ?? {};
  if (file?.path === undefined || command === undefined || command.includes(file.path)) return [];
  return [
    warning(
      commandPath,
      "does not name scheduler.file.path: does the proxy watch that file? Its command runs in working_dir.",
    ),
  ];
}
