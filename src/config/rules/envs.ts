import { sections } from "../merge.ts";
import { nodeAt, scalarsBelow } from "../node.ts";
import { problem, problemAtKey, warning } from "../problem.ts";
import type { Path, Problem } from "../problem.ts";
import type { Reading } from "../reading.ts";

const variableName = /^[A-Za-z_][A-Za-z0-9_]*$/;

const envPaths: readonly Path[] = [["envs"], ...sections.map((section) => [section, "envs"])];

export function variablesHaveNames({ root }: Reading): readonly Problem[] {
  return variables(root).flatMap(({ path, name }) =>
    variableName.test(name)
      ? []
      : [
          problemAtKey(
            path,
            "is no name of a variable: use letters, digits and underscores, not starting with a digit.",
          ),
        ],
  );
}

/** `env:NAME` and `file:/PATH` are resolved where the worker runs, at the last moment. */
export function referencesAreComplete({ root }: Reading): readonly Problem[] {
  return [...variables(root), ...headers(root)].flatMap(({ path, value }) => {
    if (value.startsWith("env:") && !variableName.test(value.slice(4))) {
      return [problem(path, "refers to a variable, but names none: write env:NAME.")];
    }
    if (value.startsWith("file:") && !value.startsWith("file:/")) {
      return [problem(path, "refers to a file without an absolute path: write file:/PATH.")];
    }
    return [];
  });
}

const secretKey =
  /(?:^|[_-])(?:AUTHORIZATION|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|API[_-]?KEY|ACCESS[_-]KEY|PRIVATE[_-]KEY|CREDENTIALS?)(?:$|[_-])/i;
/** `TOKEN_MS` is a time, and `TOKEN_LIMIT` a number. */
const quantity = /_(?:MS|S|SECONDS|TTL|COUNT|LENGTH|LIMIT|MIN|MAX)$/i;
const secretValue =
  /\b(?:hf_[A-Za-z0-9]{8,}|sk-[A-Za-z0-9_-]{8,}|AKIA[A-Z0-9]{8,}|gh[opsu]_[A-Za-z0-9]{8,}|glpat-[A-Za-z0-9_-]{8,}|xox[abp]-[A-Za-z0-9-]{8,})|-----BEGIN [A-Z ]*PRIVATE KEY/;

/**
 * A spec travels through Temporal, is kept in its history and shown in its Web UI. Warned of, not refused: only the
 * user knows what is a secret.
 */
export function secretsAreReferences({ root }: Reading): readonly Problem[] {
  return [...scalarsBelow(root, [])].flatMap(({ path, value }) => {
    if (typeof value !== "string" || /^(?:env|file):/.test(value)) return [];
    const name = path.at(-1) ?? "";
    const isSecret = secretKey.test(name) && !quantity.test(name);
    const isNamed = isSetting(path) && isSecret && couldBeSecret(value);
    if (!isNamed && !secretValue.test(value)) return [];
    if (isHeader(path)) return [warning(path, keepHeader)];
    return [warning(path, isVariable(path) ? keepVariable(name) : keepElsewhere)];
  });
}

const keepVariable = (name: string): string =>
  `looks like a secret in plain text, which Temporal would keep and show: write env:${name} (set ${name} where the worker runs) or file:/PATH.`;

const keepElsewhere =
  "looks like it holds a secret in plain text, which Temporal would keep and show: hand it over in envs, as env:NAME or file:/PATH.";

const keepHeader =
  "looks like a secret in plain text, which Temporal would keep and show: write env:NAME (set NAME where the worker runs) or file:/PATH.";

/** Paths of files that hold secrets are none themselves. */
const couldBeSecret = (value: string): boolean => value !== "" && !value.startsWith("/");

const isVariable = (path: Path): boolean => path.at(-2) === "envs";

const isHeader = (path: Path): boolean => path[0] === "scheduler" && path.at(-2) === "headers";

const isSetting = (path: Path): boolean =>
  isVariable(path) || isHeader(path) || path.at(-2) === "params";

/** Headers of the requests that tell a proxy of its members. */
function headers(
  root: Reading["root"],
): readonly { readonly path: Path; readonly value: string }[] {
  const place: Path = ["scheduler", "http"];
  const node = nodeAt(root, place);
  const scalars = node === undefined ? [] : [...scalarsBelow(node, place)];
  return scalars
    .filter(({ path }) => isHeader(path))
    .map(({ path, value }) => ({ path, value: String(value) }));
}

function variables(
  root: Reading["root"],
): readonly { readonly path: Path; readonly name: string; readonly value: string }[] {
  return envPaths.flatMap((place) => {
    const node = nodeAt(root, place);
    if (node === undefined || node.content.kind !== "mapping") return [];
    return [...node.content.children].map(([name, { content }]) => ({
      path: [...place, name],
      name,
      value: content.kind === "scalar" ? String(content.value) : "",
    }));
  });
}
