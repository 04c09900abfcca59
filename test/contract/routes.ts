import { describe, expect, test } from "vitest";
import { call } from "./calls.ts";
import { apiKey, maxModelLen } from "./trio.ts";
import type { Trio } from "./trio.ts";

/** What is there before any request is made: the boot, the paths, the models, the key. */
export function routeCases(trio: () => Trio): void {
  test("the port refuses connections until the engine is ready: there is no answer that says starting", () => {
    expect(trio().beforeReady).toEqual(["ECONNREFUSED"]);
  });

  describe("routes:", () => {
    test.each([
      ["GET", "/health", 200],
      ["POST", "/health", 405],
      ["HEAD", "/health", 405],
      ["GET", "/ping", 200],
      ["POST", "/ping", 200],
      ["GET", "/version", 200],
      ["GET", "/metrics", 200],
      ["GET", "/load", 200],
      ["GET", "/v1/models", 200],
      ["POST", "/v1/models", 405],
      ["GET", "/v1/completions", 405],
      ["GET", "/v1/chat/completions", 405],
      ["GET", "/no/such/path", 404],
      ["POST", "/v1/nope", 404],
    ] as const)("%s %s answers %i", async (method, path, status) => {
      const answer = await call(trio().decode, method, path);
      expect(answer.status).toBe(status);
    });

    test("an unknown path and a wrong method are answered in FastAPI's words, not OpenAI's", async () => {
      const missing = await call(trio().decode, "GET", "/no/such/path");
      expect(missing.json()).toEqual({ detail: "Not Found" });
      const wrong = await call(trio().decode, "GET", "/v1/completions");
      expect([wrong.headers["allow"], wrong.json()]).toEqual([
        "POST",
        { detail: "Method Not Allowed" },
      ]);
    });

    test("health has no body", async () => {
      const { text, headers } = await call(trio().decode, "GET", "/health");
      expect([text, headers["content-length"]]).toEqual(["", "0"]);
    });

    test("the version is the one that is imitated", async () => {
      expect((await call(trio().decode, "GET", "/version")).json()).toMatchObject({
        version: "0.32.0",
      });
    });
  });

  test("every served name is a model, with the path it was started with and its length", async () => {
    const { object, data } = (await call(trio().decode, "GET", "/v1/models")).json<{
      object: string;
      data: Record<string, unknown>[];
    }>();
    expect(object).toBe("list");
    expect(data.map(({ id }) => id)).toEqual(["tiny", "also-tiny"]);
    expect(data[0]).toMatchObject({
      object: "model",
      owned_by: "vllm",
      parent: null,
      max_model_len: maxModelLen,
    });
    expect(Object.keys(data[0] ?? {})).toEqual([
      "id",
      "object",
      "created",
      "owned_by",
      "root",
      "parent",
      "max_model_len",
      "permission",
    ]);
  });

  describe("with --api-key", () => {
    const auth = { authorization: `Bearer ${apiKey}` };
    test.each([
      ["/health", 200],
      ["/ping", 200],
      ["/metrics", 200],
      ["/version", 200],
      ["/v1/models", 401],
    ])("GET %s without the key answers %i", async (path, status) => {
      expect((await call(trio().victim, "GET", path)).status).toBe(status);
    });

    test("the refusal is one word, and the key opens", async () => {
      const refused = await call(trio().victim, "POST", "/v1/completions", { prompt: "a" });
      expect([refused.status, refused.json()]).toEqual([401, { error: "Unauthorized" }]);
      const allowed = await call(trio().victim, "GET", "/v1/models", undefined, auth);
      expect(allowed.status).toBe(200);
    });
  });
}
