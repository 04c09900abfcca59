import { describe, expect, test } from "vitest";
import type { Telling } from "../../src/domain/membership.ts";
import type { Member } from "../../src/domain/observed.ts";
import type { CallSpec, ParamValue, SchedulerSpec } from "../../src/domain/spec.ts";
import { renderTelling } from "../../src/render/membership.ts";
import { makeSpec } from "../support/spec.ts";

const members: readonly Member[] = [
  { name: "demo-decode-1-g3", role: "decode", url: "http://10.0.0.9:8101", ports: { side: 9001 } },
  {
    name: "demo-prefill-0-g1",
    role: "prefill",
    url: "http://10.0.0.7:8100",
    ports: { boot: 9000 },
  },
  { name: "demo-decode-0-g2", role: "decode", url: "http://[fd00::1]:8102" },
];

const telling = (scheduler: Partial<SchedulerSpec>): Telling | undefined =>
  renderTelling(
    makeSpec({ scheduler: { port: 8021, membership: "http", command: ["p"], ...scheduler } }),
    { generation: 4, members },
  );

const call = (given: Partial<CallSpec>): CallSpec => ({
  method: "POST",
  url: "/",
  headers: {},
  accept: [],
  ...given,
});

const text = (content?: ParamValue): string => {
  const found = telling({ file: content === undefined ? { path: "m" } : { path: "m", content } });
  return found?.kind === "file" ? found.text : "";
};

describe("a member's requests", () => {
  test("hold its address, percent-encoded in the URL, as it is in headers and body", () => {
    const remove = call({
      method: "DELETE",
      url: "/workers/{URL}?role={ROLE}&name={NODE_NAME}",
      headers: { "X-Worker": "{HOST}:{PORT}", "X-Key": "env:KEY" },
      body: {
        type: "{ROLE}",
        at: ["{HOST}:{PORT}", { n: "{INDEX}/{GENERATION}" }],
        port: "{#PORT}",
        is: true,
      },
      accept: [404],
    });
    const found = telling({ http: { remove: { prefill: call({ url: "/p" }), decode: remove } } });
    expect(found?.kind === "http" ? found.calls[0] : found).toEqual({
      name: "demo-decode-1-g3",
      remove: {
        method: "DELETE",
        url: "/workers/http%3A%2F%2F10.0.0.9%3A8101?role=decode&name=demo-decode-1-g3",
        headers: { "X-Worker": "10.0.0.9:8101", "X-Key": "env:KEY" },
        body: '{"type":"decode","at":["10.0.0.9:8101",{"n":"1/3"}],"port":8101,"is":true}',
        accept: [404],
      },
    });
    expect(found?.kind === "http" ? found.calls[1]?.remove?.url : found).toBe("/p");
    expect(found?.kind === "http" ? found.calls[2]?.remove?.url : found).toContain(
      "/workers/http%3A%2F%2F%5Bfd00%3A%3A1%5D%3A8102?",
    );
  });

  test("name the engines' other ports, as text and as a number", () => {
    const add = call({ body: { a: "{PORT:boot}", b: "{#PORT:boot}", c: "{#PORT}x" } });
    const found = telling({ http: { add: { prefill: add, decode: call({}) } } });
    expect(found?.kind === "http" ? found.calls[1]?.add?.body : found).toBe(
      '{"a":"9000","b":9000,"c":"8100x"}',
    );
  });

  test("come with the request for the proxy's own list", () => {
    const list = call({ method: "GET", url: "/list", headers: { a: "b" } });
    const both = { prefill: call({}), decode: call({}) };
    const found = telling({ http: { add: both, list } });
    expect(found?.kind === "http" ? found.list : found).toEqual({
      method: "GET",
      url: "/list",
      headers: { a: "b" },
    });
  });
});

describe("a watched file", () => {
  test("holds the members of each role in the order of their numbers, unless told otherwise", () => {
    expect(JSON.parse(text())).toEqual({
      prefill: [{ name: "demo-prefill-0-g1", url: "http://10.0.0.7:8100", ports: { boot: 9000 } }],
      decode: [
        { name: "demo-decode-0-g2", url: "http://[fd00::1]:8102" },
        { name: "demo-decode-1-g3", url: "http://10.0.0.9:8101", ports: { side: 9001 } },
      ],
    });
  });

  test("as text repeats lines for each replica and joins lists by commas", () => {
    const content = `# $PREFILL_COUNT and $DECODE_COUNT
upstream decode {
  server $DECODE_HOST:$DECODE_PORT;
}
all = "$PREFILL_URLS,$DECODE_URLS" # $HOME
$DECODE_URLS
`;
    expect(text(content)).toBe(`# 1 and 2
upstream decode {
  server fd00::1:8102;
  server 10.0.0.9:8101;
}
all = "http://10.0.0.7:8100,http://[fd00::1]:8102,http://10.0.0.9:8101" # $HOME
http://[fd00::1]:8102
http://10.0.0.9:8101
`);
  });

  test("as a value makes items of lists and text elsewhere", () => {
    const content = {
      service_discovery: "static",
      static_backends: "$PREFILL_URLS,$DECODE_URLS",
      models: { m: { backends: ["$PREFILL_URLS", "d=${DECODE_URL}", 7, ["$PREFILL_HOST"]] } },
      count: "$DECODE_COUNT",
    };
    expect(JSON.parse(text(content))).toEqual({
      service_discovery: "static",
      static_backends: "http://10.0.0.7:8100,http://[fd00::1]:8102,http://10.0.0.9:8101",
      models: {
        m: {
          backends: [
            "http://10.0.0.7:8100",
            "d=http://[fd00::1]:8102",
            "d=http://10.0.0.9:8101",
            7,
            ["10.0.0.7"],
          ],
        },
      },
      count: "2",
    });
  });
});

test("a proxy that is not told while it runs gets nothing", () => {
  expect(telling({ membership: "restart" })).toBeUndefined();
});
