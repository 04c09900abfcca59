import type { ProxyCommand } from "../domain/action.ts";
import { handOverBy } from "../domain/connectors/children.ts";
import type { Version } from "../domain/connectors/version.ts";
import { PdjobError } from "../domain/errors.ts";
import type { Member } from "../domain/observed.ts";
import { roles } from "../domain/role.ts";
import type { Role } from "../domain/role.ts";
import type { JobSpec } from "../domain/spec.ts";

/** Where the runner writes the built-in proxy's program, relative to the working directory that is its cwd. */
const builtinProgram = ".pdjob/pdjob-proxy.mjs";

const placeholder =
  /\{PORT\}|\$(\{)?(PREFILL|DECODE)_(HOSTS|PORTS|URLS|COUNT|(?:HOST|PORT|URL)_\d+)(?:\})?/g;

/**
 * The proxy's command for these members, in the order of their indexes. A list placeholder that is a whole word becomes
 * several words; inside a word it is joined by commas. Fails with SpecInvalid for an index that no member has.
 */
export function renderProxy(
  spec: JobSpec,
  members: readonly Member[],
  version?: Version,
): ProxyCommand {
  const { command, port } = spec.scheduler;
  if (!command) {
    const argv = ["node", builtinProgram, "--port", String(port), "--job", spec.name];
    // What its guard gives it, so that it is not killed while it still drains.
    argv.push("--drain-timeout", String(spec.stopGraceS));
    return { builtin: true, argv: [...argv, ...handOverWords(spec, version)], members };
  }
  const argv = command.flatMap((word) => {
    const list = /^\$\{?(PREFILL|DECODE)_(HOSTS|PORTS|URLS)\}?$/.exec(word);
    if (list) return listed(list[1] ?? "", list[2] ?? "", members);
    return word.replaceAll(placeholder, (whole, _brace, role?: string, what?: string) =>
      role === undefined || what === undefined ? String(port) : filled(whole, role, what, members),
    );
  });
  return { builtin: false, argv, members };
}

/** Engines of a connector that is not vLLM's own are taken to answer with parameters, as most do. */
function handOverWords({ roles: { prefill } }: JobSpec, version: Version | undefined): string[] {
  const found = handOverBy(prefill.kvTransfer, version);
  return typeof found === "object" && found.kind === "store" ? ["--hand-over", "store"] : [];
}

function filled(whole: string, role: string, what: string, members: readonly Member[]): string {
  if (what === "COUNT") return String(ofRole(role, members).length);
  if (!what.includes("_")) return listed(role, what, members).join(",");
  const [part = "", index = ""] = what.split("_");
  const member = ofRole(role, members)[Number(index) - 1];
  if (member) return partOf(part, member);
  const count = ofRole(role, members).length;
  throw new PdjobError(
    "SpecInvalid",
    `scheduler.command names ${whole}, but there are ${count} ${role.toLowerCase()} replicas to name.`,
  );
}

const listed = (role: string, what: string, members: readonly Member[]): string[] =>
  ofRole(role, members).map((member) => partOf(what.slice(0, -1), member));

const ofRole = (name: string, members: readonly Member[]): readonly Member[] =>
  members.filter(({ role }) => role === roleNamed(name));

const roleNamed = (name: string): Role | undefined =>
  roles.find((role) => role.toUpperCase() === name);

/** Splits by hand: a host that is not known yet (`<prefill-0.host>`) is no valid URL. */
function partOf(part: string, { url }: Member): string {
  if (part === "URL") return url;
  const authority = url.replace(/^http:\/\//, "");
  const colon = authority.lastIndexOf(":");
  return part === "HOST"
    ? authority.slice(0, colon).replaceAll(/^\[|\]$/g, "")
    : authority.slice(colon + 1);
}
