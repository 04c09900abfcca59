/** Numbers of a release of vLLM, most significant first: `[0, 24]`, `[0, 11, 1]`. */
export type Version = readonly number[];

/** From `since` on, and before `until`. Without a bound: as far as the table reaches. */
export interface Releases {
  readonly since?: string;
  readonly until?: string;
}

/** The releases whose connectors were read; newer ones count as the newest, older ones as the oldest. */
export const oldestKnown = "0.10";
export const newestKnown = "0.32";

/** What a version looks like in a configuration and on a command line: `0.32`, `v0.11.1`, `0.32.0+cpu`. */
export const versionPattern = /^v?(\d{1,6}(?:\.\d{1,6}){1,3})(?:[.+a-z-][\w.+-]*)?$/i;

/** Undefined for what is no version. Release candidates and development builds count as the release they lead to. */
export function parseVersion(text: string): Version | undefined {
  const numbers = versionPattern.exec(text.trim())?.[1];
  return numbers?.split(".").map(Number);
}

/** Below, at or above zero as `a` is older than, the same as or newer than `b`; a missing number counts as 0. */
export function compareVersions(a: Version, b: Version): number {
  const length = Math.max(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Is something with these bounds in a version? An unknown version is taken for the newest. */
export function isIn({ since, until }: Releases, version: Version | undefined): boolean {
  const asked = version ?? parseVersion(newestKnown) ?? [];
  const from = since === undefined ? undefined : parseVersion(since);
  const to = until === undefined ? undefined : parseVersion(until);
  return (
    (from === undefined || compareVersions(asked, from) >= 0) &&
    (to === undefined || compareVersions(asked, to) < 0)
  );
}

export const versionText = (version: Version | undefined): string =>
  version === undefined ? newestKnown : version.join(".");
