import type { ServerResponse } from "node:http";

/** What a client that was told to come back waits, in seconds, unless it is told another time. */
const retryAfterS = 1;

/** An error in OpenAI's shape, if the client is still there and nothing was sent yet. 503 says when to come back. */
export function refuse(
  response: ServerResponse,
  status: number,
  message: string,
  type: string,
  headers: Record<string, string> = {},
): void {
  send(response, { status, message, type, code: status }, headers);
}

/** A request without a key that is good for it. */
export const deny = (
  response: ServerResponse,
  denial: { readonly status: number; readonly code: string; readonly message: string },
): void =>
  send(
    response,
    { ...denial, type: "invalid_request_error" },
    denial.status === 401 ? { "www-authenticate": "Bearer" } : {},
  );

interface Refused {
  readonly status: number;
  readonly message: string;
  readonly type: string;
  readonly code: string | number;
}

function send(
  response: ServerResponse,
  { status, message, type, code }: Refused,
  headers: Record<string, string>,
): void {
  if (response.headersSent || response.destroyed) return void response.destroy();
  response.writeHead(status, {
    "content-type": "application/json",
    ...(status === 503 ? { "retry-after": String(retryAfterS) } : {}),
    ...headers,
  });
  response.end(JSON.stringify({ error: { message, type, param: null, code } }));
}
