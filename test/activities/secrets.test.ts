import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test, vi } from "vitest";
import { resolveSecrets } from "../../src/activities/secrets.ts";

const dir = mkdtempSync(join(tmpdir(), "pdjob-secrets-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test("references become values, everything else stays as it is", async () => {
  writeFileSync(join(dir, "token"), "from a file\n");
  vi.stubEnv("PDJOB_TEST_TOKEN", "from the environment");
  const env = {
    A: "env:PDJOB_TEST_TOKEN",
    B: `file:${join(dir, "token")}`,
    C: "plain",
    D: "environment",
  };
  expect(await resolveSecrets(env)).toEqual({
    A: "from the environment",
    B: "from a file",
    C: "plain",
    D: "environment",
  });
});

test("a missing file names the reference and what to do", async () => {
  await expect(resolveSecrets({ KEY: "file:/does/not/exist" })).rejects.toMatchObject({
    code: "SecretMissing",
    message:
      "envs.KEY refers to file:/does/not/exist, which cannot be read by the worker. Put the file there, or fix its permissions.",
  });
});

test("a reference in a proxy's request says where it stands", async () => {
  const where = "scheduler.http.add.headers";
  await expect(resolveSecrets({ "X-Key": "env:PDJOB_TEST_NOT_SET" }, where)).rejects.toThrow(
    "scheduler.http.add.headers.X-Key refers to env:PDJOB_TEST_NOT_SET, which is not set in the worker's environment. Set it there and restart the worker.",
  );
});
