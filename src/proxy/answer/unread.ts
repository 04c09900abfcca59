import type { ServerResponse } from "node:http";

/**
 * For an answer that was given whole: what its client has not taken yet waits in memory. Node's own timer for the connection
 * counts each part that left as progress, and a large answer goes in one piece; when nothing left for so long it is closed.
 */
export function boundUnread(response: ServerResponse, unreadMs: number): void {
  if (response.writableLength > 0) response.setTimeout(unreadMs, () => response.destroy());
}
