/** Where in the file's tree: keys, and indexes of lists as text. */
export type Path = readonly string[];

/** Something wrong at a path. Turned into a line and a column once all of them are known. */
export interface Problem {
  readonly path: Path;
  /** Point at the key instead of at its value. */
  readonly atKey?: boolean;
  readonly message: string;
  readonly severity: "error" | "warning";
}

/** A problem whose place in the text is known. Offsets count characters from 0. */
export interface Finding extends Problem {
  readonly offset: number;
}

/** Keys longer than this are cut in messages. */
const keyShownMax = 60;
const plainKey = /^[A-Za-z0-9_-]+$/;

export const problem = (path: Path, message: string): Problem => ({
  path,
  message,
  severity: "error",
});

export const problemAtKey = (path: Path, message: string): Problem => ({
  ...problem(path, message),
  atKey: true,
});

export const warning = (path: Path, message: string): Problem => ({
  path,
  message,
  severity: "warning",
});

/** `prefill.params.model`, `general.params.middleware[0]`, `envs["a b"]`; empty for the file as a whole. */
export function pathText(path: Path): string {
  return path
    .map((key, at) => {
      if (/^\d+$/.test(key) && at > 0) return `[${key}]`;
      if (!plainKey.test(key)) return `[${JSON.stringify(shorten(key))}]`;
      return at === 0 ? shorten(key) : `.${shorten(key)}`;
    })
    .join("");
}

/** A key of the user's as messages quote it: short, on one line, without control characters. */
export const quoted = (key: string): string => JSON.stringify(shorten(key));

const shorten = (key: string): string =>
  key.length > keyShownMax ? `${key.slice(0, keyShownMax)}…` : key;
