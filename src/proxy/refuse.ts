import type { ServerResponse } from "node:http";

/** An error in OpenAI's shape, if the client is still there and nothing was sent yet. */
export function refuse(
  response: ServerResponse,
  status: number,
  message: string,
  type: string,
  headers: Record<string, string> = {},
): void {
  if (response.headersSent || response.destroyed) return void response.destroy();
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify({ error: { message, type, param: null, code: status } }));
}
