import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test, vi } from "vitest";
import { proxyKeysEnv } from "../../src/activities/proxy-keys.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { readKeys } from "../../src/proxy/admission/auth.ts";
import { makeSpec } from "../support/spec.ts";

const dir = mkdtempSync(join(tmpdir(), "pdjob-keys-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const specWith = (inference: readonly string[], admin: readonly string[] = []): JobSpec => {
  const base = makeSpec({ decode: { envs: { VLLM_API_KEY: "env:PDJOB_TEST_ENGINE_KEY" } } });
  return { ...base, scheduler: { ...base.scheduler, auth: { inference, admin } } };
};
const fileOf = (name: string, text: string): string => {
  writeFileSync(join(dir, name), text);
  return `file:${join(dir, name)}`;
};

test("the proxy gets digests of clients' keys, and the engines' own key by role", async () => {
  vi.stubEnv("PDJOB_TEST_ENGINE_KEY", "engine-secret");
  vi.stubEnv("PDJOB_TEST_KEY", "client-secret");
  const file = fileOf("keys", "\n  file-secret \r\nother-secret\n\n");
  const env = await proxyKeysEnv(specWith([file, "env:PDJOB_TEST_KEY"], ["env:PDJOB_TEST_KEY"]));
  const [[name, text = ""] = [""], ...rest] = Object.entries(env);
  expect([name, rest]).toEqual(["PDJOB_PROXY_KEYS", []]);
  expect(text).not.toMatch(/client-secret|file-secret|other-secret/);
  const digests = ["file-secret", "other-secret", "client-secret"].map((key) =>
    createHash("sha256").update(key).digest(),
  );
  expect(readKeys(text)).toEqual({
    keys: { inference: digests, admin: digests.slice(2) },
    engines: { decode: "engine-secret" },
  });
});

test("a job without keys tells nothing", async () => {
  expect(await proxyKeysEnv(makeSpec())).toEqual({});
});

test.each([
  [
    ["env:PDJOB_TEST_NOT_SET"],
    "scheduler.auth.inference[0] refers to env:PDJOB_TEST_NOT_SET, which is not set in the worker's environment. Set it there and restart the worker.",
  ],
  [
    [fileOf("blank", " \n\n")],
    `scheduler.auth.inference[0] refers to file:${dir}/blank, which holds no key. Write one key a line there.`,
  ],
  [
    [fileOf("many", Array.from({ length: 1_001 }, (_, at) => `key-${at}`).join("\n"))],
    "scheduler.auth refers to 1001 keys, and 1000 is the most: remove those that nobody uses.",
  ],
])("without good keys no proxy starts: %o", async (references, message) => {
  vi.stubEnv("PDJOB_TEST_ENGINE_KEY", "engine-secret");
  await expect(proxyKeysEnv(specWith(references))).rejects.toMatchObject({
    code: "SecretMissing",
    message,
  });
});
