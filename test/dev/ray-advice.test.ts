import { expect, test } from "vitest";
import { rayAdvice } from "../../src/dev/ray-advice.ts";

test("a Python without Ray is named, with how to get one that has it", () => {
  const tail = "/usr/bin/python3: No module named 'ray'";
  expect(rayAdvice(tail, "/usr/bin/python3")).toBe(
    "/usr/bin/python3 has no Ray: run npm run setup in the project's folder, or set PDJOB_PYTHON to a Python that has it.",
  );
});

test("a node that Ray gave up on says that the machine is too busy, and what helps", () => {
  const tail =
    "Exception: The current node timed out during startup. This could happen because some of the raylet failed to startup or the GCS has become overloaded.";
  expect(rayAdvice(tail, "python3")).toBe(
    "Ray gives a node 30 s to start, and this machine was too busy for that: try again when less runs on it, or bring up fewer with pdjob-client dev --nodes 1.",
  );
});

test("a log that tells of something else gets no advice", () => {
  expect(rayAdvice("OSError: [Errno 28] No space left on device", "python3")).toBeUndefined();
});
