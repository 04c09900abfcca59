import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { findServer, plainServer } from "../../src/client/server.ts";

const dir = mkdtempSync(join(tmpdir(), "pdjob-server-"));
const file = join(dir, "temporal.toml");
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** An environment that knows nothing but a config file with this text. */
function withFile(text: string) {
  writeFileSync(file, text);
  return { TEMPORAL_CONFIG_FILE: file, HOME: dir };
}

const two = `
[profile.default]
address = "default.example:7233"
[profile.cloud]
address = "cloud.example:7233"
namespace = "team.acct"
api_key = "secret-1"
[profile.cloud.tls]
server_name = "sni.example"
[profile.cloud.grpc_meta]
x-team = "pd"
`;

describe("a server is found", () => {
  test("with everything that the profile says of it, TLS and key included", () => {
    const { address, namespace, connectionOptions } = findServer(
      { profile: "cloud" },
      withFile(two),
    );
    expect([address, namespace]).toEqual(["cloud.example:7233", "team.acct"]);
    expect(connectionOptions).toMatchObject({
      address: "cloud.example:7233",
      apiKey: "secret-1",
      tls: { serverNameOverride: "sni.example" },
      metadata: { "x-team": "pd" },
    });
  });

  test("with flags over variables over the profile", () => {
    const env = { ...withFile(two), TEMPORAL_ADDRESS: "env:1", TEMPORAL_NAMESPACE: "env" };
    expect(findServer({ namespace: "flag" }, env)).toMatchObject({
      address: "env:1",
      namespace: "flag",
    });
    expect(findServer({ address: "flag:1" }, env)).toMatchObject({
      address: "flag:1",
      namespace: "env",
      connectionOptions: { address: "flag:1" },
    });
  });

  test.each(["", "[other]\nx = 1\n"])("where one usually is, when the file is %j", (text) => {
    expect(findServer({}, withFile(text))).toMatchObject({
      address: "127.0.0.1:7233",
      isDefault: true,
      namespace: "default",
    });
  });

  test("without any key of the user's when it is our own", () => {
    expect(plainServer("127.0.0.1:1")).toEqual({
      address: "127.0.0.1:1",
      namespace: "default",
      connectionOptions: { address: "127.0.0.1:1" },
    });
  });
});

describe("the config file is named, and no key in it is quoted, when", () => {
  test("it has no such profile", () => {
    expect(() => findServer({ profile: "nope" }, withFile(two))).toThrow(
      `${file}: there is no profile nope. It has: default, cloud. Make it: temporal config set --profile nope --prop address --value HOST:PORT`,
    );
    const env = { ...withFile(""), TEMPORAL_PROFILE: "nope" };
    expect(() => findServer({}, env)).toThrow(`${file}: there is no profile nope. It has none.`);
  });

  test("it is not TOML", () => {
    const env = withFile('[profile.default]\napi_key = "secret-1" x\n');
    const look = (): unknown => findServer({}, env);
    expect(look).toThrow(
      new RegExp(
        `^${file}: line 2, column \\d+: Invalid TOML document: [^\\n]*\\. Mend this config file of the temporal CLI, or name another with TEMPORAL_CONFIG_FILE\\.$`,
      ),
    );
    expect(look).not.toThrow(/secret-1/);
  });

  test("it names a certificate that is not there", () => {
    const text =
      '[profile.default.tls]\nclient_cert_path = "/nope.crt"\nclient_key_path = "/nope.key"\n';
    expect(() => findServer({}, withFile(text))).toThrow(`${file}: ENOENT: no such file`);
  });
});
