import type { HttpCall, MemberCalls, Telling } from "../domain/membership.ts";
import { parseIncarnation } from "../domain/names.ts";
import type { Member, Membership } from "../domain/observed.ts";
import { roles } from "../domain/role.ts";
import type { CallSpec, FileMembership, JobSpec, ParamValue } from "../domain/spec.ts";
import { isList, isTemplate } from "./placeholders.ts";
import { fillText, fillWords, partOf } from "./proxy.ts";

/** `{URL}`, `{PORT:bootstrap}`; with # for a number instead of text, where that is all there is of a JSON value. */
const placeholder = /\{(#?)(URL|HOST|PORT|ROLE|NODE_NAME|INDEX|GENERATION)(?::([a-z0-9_-]+))?\}/g;
const fileWhere = "scheduler.file.content";

/** How an external proxy is told of a membership; undefined for one that is not told while it runs. */
export function renderTelling({ scheduler }: JobSpec, membership: Membership): Telling | undefined {
  const { file, http } = scheduler;
  if (file)
    return { kind: "file", path: file.path, text: renderFile(file, inOrder(membership.members)) };
  if (!http) return undefined;
  const calls = membership.members.map((member): MemberCalls => {
    const { add, remove } = http;
    return {
      name: member.name,
      ...(add ? { add: renderCall(add[member.role], member) } : {}),
      ...(remove ? { remove: renderCall(remove[member.role], member) } : {}),
    };
  });
  if (!http.list) return { kind: "http", calls };
  const { method, url, headers } = http.list;
  return { kind: "http", calls, list: { method, url, headers } };
}

function renderCall(
  { method, url, headers, body, accept }: CallSpec,
  member: Member,
): HttpCall & { readonly accept: readonly number[] } {
  const filled = {
    method,
    url: fill(url, member, percentEncoded),
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, fill(value, member, String)]),
    ),
    accept,
  };
  return body === undefined ? filled : { ...filled, body: JSON.stringify(fillBody(body, member)) };
}

/** `<prefill-0.host>`, an address that a plan does not know yet, stays readable. */
const percentEncoded = (value: string): string =>
  encodeURIComponent(value).replaceAll(/%3C([\w.-]+)%3E/g, "<$1>");

const fill = (text: string, member: Member, encode: (value: string) => string): string =>
  text.replaceAll(placeholder, (whole, _number: string, name: string, port, at: number) => {
    const value = valueOf(name, port, member);
    return value === undefined || isTemplate(text, whole, at) ? whole : encode(value);
  });

function fillBody(value: ParamValue, member: Member): ParamValue {
  if (typeof value === "string") {
    const text = fill(value, member, String);
    const isNumber = /^\{#[A-Z_]+(?::[a-z0-9_-]+)?\}$/.test(value) && /^\d+$/.test(text);
    return isNumber ? Number(text) : text;
  }
  if (value === null || typeof value !== "object") return value;
  if (isList(value)) return value.map((item) => fillBody(item, member));
  return mapped(value, (item) => fillBody(item, member));
}

function valueOf(name: string, port: string | undefined, member: Member): string | undefined {
  if (port !== undefined) return name === "PORT" ? member.ports?.[port]?.toString() : undefined;
  const incarnation = parseIncarnation(member.name);
  const values: Readonly<Record<string, string | undefined>> = {
    URL: member.url,
    HOST: partOf("HOST", member),
    PORT: partOf("PORT", member),
    ROLE: member.role,
    NODE_NAME: member.name,
    INDEX: incarnation?.index.toString(),
    GENERATION: incarnation?.generation.toString(),
  };
  return values[name];
}

/** The whole text of the file. A value is written as JSON, which YAML readers read as well. */
function renderFile({ content }: FileMembership, members: readonly Member[]): string {
  if (content === undefined) return json(byRole(members));
  if (typeof content !== "string") return json(fillContent(content, members));
  // A line that names each replica is there once for each; lists within a line are joined by commas.
  const lines = content.split("\n").flatMap((line) => fillWords(line, members, fileWhere));
  return lines.join("\n");
}

const byRole = (members: readonly Member[]): ParamValue =>
  Object.fromEntries(
    roles.map((role) => [
      role,
      members
        .filter((member) => member.role === role)
        .map(({ name, url, ports }) => ({ name, url, ...(ports ? { ports } : {}) })),
    ]),
  );

/** In a list, a list placeholder becomes items of its own. */
function fillContent(value: ParamValue, members: readonly Member[]): ParamValue {
  if (typeof value === "string") return fillText(value, members, fileWhere);
  if (value === null || typeof value !== "object") return value;
  if (!isList(value)) return mapped(value, (item) => fillContent(item, members));
  return value.flatMap((item) =>
    typeof item === "string" ? fillWords(item, members, fileWhere) : [fillContent(item, members)],
  );
}

const json = (value: ParamValue): string => `${JSON.stringify(value, null, 2)}\n`;

const mapped = (
  value: { readonly [key: string]: ParamValue },
  change: (item: ParamValue) => ParamValue,
): ParamValue =>
  Object.fromEntries(Object.entries(value).map(([key, item]) => [key, change(item)]));

/** As they are numbered, whenever each of them came. */
function inOrder(members: readonly Member[]): readonly Member[] {
  const indexOf = ({ name }: Member): number => parseIncarnation(name)?.index ?? 0;
  return members.toSorted((a, b) => indexOf(a) - indexOf(b));
}
