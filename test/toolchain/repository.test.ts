import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
const read = (path: string): string => readFileSync(`${root}${path}`, "utf8");
const { stdout } = await execa("git", ["ls-files"], { cwd: root });
const files = stdout.split("\n");
const texts = files.filter(
  (file) => file !== "" && !file.endsWith(".png") && !file.startsWith("test/histories/"),
);
const pages = files.filter((file) => file.endsWith(".md"));

test("no file names a machine's path or a package registry", () => {
  // Split, so that this file does not name them itself.
  const banned = [
    "/wo" + "rk/",
    "/ro" + "ot/",
    "registry." + "npmjs",
    "py" + "pi.org",
    "python" + "hosted",
    "/far" + "m/",
  ];
  const found = texts.flatMap((file) =>
    banned.filter((word) => read(file).includes(word)).map((word) => `${file}: ${word}`),
  );
  expect(found).toEqual([]);
});

test("no recorded history names a machine's path in a stack trace", () => {
  const histories = files.filter((file) => file.startsWith("test/histories/"));
  expect(histories.length).toBeGreaterThan(5);
  expect(histories.filter((file) => read(file).includes('"stackTrace"'))).toEqual([]);
});

test("every Temporal package has one exact version, and protobufjs 8 is pinned directly", () => {
  const { dependencies, devDependencies } = JSON.parse(read("package.json")) as Record<
    "dependencies" | "devDependencies",
    Record<string, string>
  >;
  const versions = Object.entries({ ...dependencies, ...devDependencies }).filter(([name]) =>
    name.startsWith("@temporalio/"),
  );
  expect(new Set(versions.map(([, version]) => version))).toEqual(new Set(["1.24.0"]));
  // Without it npm nests several copies, and a history cannot be replayed.
  expect(dependencies["protobufjs"]).toMatch(/^\^8\./);
  expect(read("package-lock.json")).not.toContain('"resolved"');
});

test("no source file is longer than 400 lines", () => {
  const sources = files.filter((file) =>
    /^(src|scripts|bench)\/.*\.(ts|mjs|go)$|^agent\/pdjob_agent\/.*\.py$/.test(file),
  );
  expect(sources.filter((file) => read(file).split("\n").length > 401)).toEqual([]);
});

test("every Python pin has a hash", () => {
  for (const file of [
    "agent/requirements.txt",
    "agent/requirements-dev.txt",
    "agent/requirements-vllm.txt",
    "agent/requirements-router.txt",
    "bench/toy/requirements.txt",
  ]) {
    const pins = read(file)
      .split(/\n(?=\S)/)
      .filter((pin) => /^[a-z0-9]/i.test(pin));
    expect(pins.length).toBeGreaterThan(5);
    expect(pins.filter((pin) => !pin.includes("--hash=sha256:"))).toEqual([]);
  }
});

test("the pages name npm scripts that exist", () => {
  const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
  const named = pages.flatMap((page) =>
    [...read(page).matchAll(/npm (?:run ([a-z:]+)|(test)\b)/g)].map(
      ([, run, test_]) => run ?? test_ ?? "",
    ),
  );
  expect(new Set(named).size).toBeGreaterThan(5);
  expect(named.filter((name) => !(name in scripts))).toEqual([]);
});

test("the pages name files that exist", () => {
  const folders = "test|src|bench|agent|scripts|examples|docs|schema|bin";
  const inWords = new RegExp(`\`((?:${folders})/[\\w./-]*[\\w/])\``, "g");
  const named = pages.flatMap((page) => {
    const text = read(page);
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, to = ""]) =>
      join(dirname(page), to),
    );
    return [...[...text.matchAll(inWords)].map(([, path = ""]) => path), ...links].map(
      (path) => [page, path.replace(/\/$/, "")] as const,
    );
  });
  expect(named.length).toBeGreaterThan(50);
  const isThere = (path: string): boolean =>
    files.some((file) => file === path || file.startsWith(`${path}/`));
  expect(named.filter(([, path]) => !isThere(path))).toEqual([]);
});

test("docs/real-engines.md says of every slow test file what it proves", () => {
  const page = read("docs/real-engines.md");
  const slow = files.filter((file) => /^test\/slow\/.*\.test\.ts$/.test(file));
  expect(slow.length).toBeGreaterThan(5);
  expect(slow.filter((file) => !page.includes(`| \`${file}\` |`))).toEqual([]);
});
