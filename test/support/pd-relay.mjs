// What the stand-ins for external P/D proxies have in common: prefill leg, then decode leg streamed through, round robin.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { Readable } from "node:stream";

/**
 * `pool` is read anew for each request: { prefill: [URL], decode: [URL] }. `routes` are further paths, such as an admin
 * API: "POST /path" → (body text, URL) → [status, JSON value].
 */
export function serve({ host, port, pool, routes = {} }) {
  const turns = { prefill: 0, decode: 0 };
  const next = (role) => {
    const urls = pool()[role];
    if (urls.length === 0) throw new Error(`no ${role} instance`);
    return urls[turns[role]++ % urls.length];
  };

  createServer(async (request, response) => {
    try {
      const url = new URL(request.url, "http://proxy");
      const text = await textOf(request);
      const route = routes[`${request.method} ${url.pathname}`];
      if (route) return answer(response, ...route(text, url));
      if (request.method !== "POST" || !/^\/v1\/(chat\/)?completions$/.test(url.pathname))
        return answer(response, 404, { detail: "Not Found" });
      await relay(url.pathname, JSON.parse(text), response);
    } catch (error) {
      process.stderr.write(`Error occurred in proxy: ${error.message}\n`);
      if (response.headersSent) response.destroy();
      else answer(response, 500, { detail: error.message });
    }
  }).listen(port, host, () => process.stdout.write(`proxy on http://${host}:${port}\n`));

  async function relay(path, body, response) {
    const id = randomUUID();
    const first = await post(next("prefill") + path, id, {
      ...body,
      max_tokens: 1,
      stream: false,
      kv_transfer_params: { do_remote_decode: true, do_remote_prefill: false },
    });
    const { kv_transfer_params: kv } = await first.json();
    const second = await post(next("decode") + path, id, { ...body, kv_transfer_params: kv });
    response.writeHead(second.status, { "content-type": second.headers.get("content-type") });
    Readable.fromWeb(second.body)
      .on("error", () => response.destroy())
      .pipe(response);
  }
}

async function post(url, id, body) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", "x-request-id": id },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return response;
}

async function textOf(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
}

function answer(response, status, value) {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}
