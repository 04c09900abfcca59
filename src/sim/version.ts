/** The release of vLLM that is imitated. Another can be claimed, to see what depends on it. */
export const simulatedVersion = process.env["PDJOB_SIM_VERSION"] ?? "0.32.0";

/** Is the imitated release before `major.minor`? */
export function isBefore(release: string): boolean {
  const [major = 0, minor = 0] = simulatedVersion.split(".").map((part) => parseInt(part, 10));
  const [otherMajor = 0, otherMinor = 0] = release.split(".").map(Number);
  return major < otherMajor || (major === otherMajor && minor < otherMinor);
}
