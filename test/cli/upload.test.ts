import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { uploadNote, uploadPlanOf } from "../../src/cli/upload.ts";
import { buildPrograms, runProgram } from "../support/program.ts";
import { makeSpec } from "../support/spec.ts";

const dir = mkdtempSync(join(tmpdir(), "pdjob-upload-"));
const config = join(dir, "job.yaml");
beforeAll(async () => {
  await buildPrograms();
  mkdirSync(join(dir, "deploy", ".git"), { recursive: true });
  writeFileSync(join(dir, "deploy", "proxy.py"), "print(1)\n");
  writeFileSync(
    config,
    `num_gpus: 2
working_dir: ${dir}
upload: ./deploy
general: {params: {model: m}}
prefill: {num_gpus: 1, replicas: 1, params: {kv_transfer_config: {kv_connector: NixlConnector, kv_role: kv_producer}}}
decode: {num_gpus: 1, replicas: 1, params: {kv_transfer_config: {kv_connector: NixlConnector, kv_role: kv_consumer}}}
`,
  );
}, 240_000);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test("plan says what start would upload, of the folder beside the config, and has it as its first step", async () => {
  const { stdout, exitCode, stderr } = await runProgram("pdjob-client", ["plan", config]);
  expect(exitCode, stderr).toBe(0);
  expect(stdout).toMatch(/ 1\. +uploadFiles job/);
  expect(stdout).toContain(`\nuploads 1 file, 9 bytes, of ${join(dir, "deploy")}, without .git.`);
  const json = await runProgram("pdjob-client", ["plan", config, "--json"]);
  expect(JSON.parse(json.stdout)).toMatchObject({
    upload: {
      directory: join(dir, "deploy"),
      text: `1 file, 9 bytes, of ${join(dir, "deploy")}, without .git.`,
    },
  });
});

test("a folder that cannot be uploaded is said with the reason", async () => {
  mkdirSync(join(dir, "empty"), { recursive: true });
  const upload = join(dir, "empty");
  expect((await uploadPlanOf(makeSpec({ upload })))?.text).toBe(
    `${upload}, which would fail here: upload: ${upload} has no files to upload.`,
  );
  const nowhere = join(dir, "nowhere");
  expect((await uploadPlanOf(makeSpec({ upload: nowhere })))?.text).toBe(
    `${nowhere}, which is not on this machine, as it is where the worker runs.`,
  );
  expect(await uploadPlanOf(makeSpec())).toBeUndefined();
});

test("whoever has files in a working_dir here is told that they stay here, and how they would not", () => {
  const workingDir = join(dir, "work");
  expect(uploadNote(makeSpec({ workingDir }))).toBeUndefined();
  mkdirSync(join(workingDir, ".pdjob"), { recursive: true });
  expect(uploadNote(makeSpec({ workingDir }))).toBeUndefined();
  writeFileSync(join(workingDir, "proxy.py"), "");
  expect(uploadNote(makeSpec({ workingDir }))).toBe(
    `working_dir ${workingDir} exists here. What is in it is not sent to the nodes: write \`upload: ${workingDir}\` for that.`,
  );
  expect(uploadNote(makeSpec({ workingDir, upload: dir }))).toBeUndefined();
});
