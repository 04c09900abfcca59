/** What to do about a Ray node that ended while it started, if the end of its log tells. `python` is what ran it. */
export function rayAdvice(tail: string, python: string): string | undefined {
  if (/No module named '?ray/.test(tail))
    return `${python} has no Ray: run npm run setup in the project's folder, or set PDJOB_PYTHON to a Python that has it.`;
  // Ray gives its raylet 30 s, which no setting of Ray changes (ray/_private/node.py).
  if (tail.includes("timed out during startup"))
    return "Ray gives a node 30 s to start, and this machine was too busy for that: try again when less runs on it, or bring up fewer with pdjob-client dev --nodes 1.";
  return undefined;
}
