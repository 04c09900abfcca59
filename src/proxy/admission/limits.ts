const bytesPerMib = 1024 * 1024;

/** What clients may take of the proxy. */
export interface ServerLimits {
  /** A larger body is refused with 413: it would be held in memory whole. */
  readonly bodyBytesMax: number;
  /** Of all requests that are here; one that has no room is refused with 503. */
  readonly memoryBytesMax: number;
  /** More requests at once are refused with 503. */
  readonly concurrentMax: number;
  readonly waiting: WaitingLimits;
  /** For the first line and the headers to arrive, from the connection or from their first byte. */
  readonly headersTimeoutMs: number;
  readonly pace: Pace;
  /** For a client to take any of what waits for it. It keeps its request's place, memory and engine meanwhile. */
  readonly unreadMs: number;
  /** For the next request on a connection. Clients that use one again just as it is closed fail, so it is longer than theirs. */
  readonly keepAliveMs: number;
}

/** Of requests for which no pair of engines is ready. */
export interface WaitingLimits {
  readonly countMax: number;
  /** For all waits of one request together. */
  readonly waitMs: number;
}

/** How slowly a body may arrive. */
export interface Pace {
  /** Without a byte of it. */
  readonly startMs: number;
  readonly bytesPerS: number;
}

/** Command line flags of the program; the defaults are those of `src/domain/exposure.ts`. */
export const limitFlags = {
  "max-body-mib": { type: "string", default: "64" },
  "max-memory-mib": { type: "string", default: "1024" },
  "max-requests": { type: "string", default: "4096" },
  "max-waiting": { type: "string", default: "1024" },
  "max-wait": { type: "string", default: "30" },
} as const;

type Flag = keyof typeof limitFlags;

/** Throws what is wrong with a value, in words for the log. */
export function readLimits(values: Readonly<Record<Flag, string>>): ServerLimits {
  const number = (flag: Flag): number => {
    if (!/^\d{1,9}$/.test(values[flag]))
      throw new Error(`--${flag} is a whole number, not ${values[flag]}`);
    return Number(values[flag]);
  };
  return {
    bodyBytesMax: number("max-body-mib") * bytesPerMib,
    memoryBytesMax: number("max-memory-mib") * bytesPerMib,
    concurrentMax: number("max-requests"),
    waiting: { countMax: number("max-waiting"), waitMs: number("max-wait") * 1_000 },
    headersTimeoutMs: 10_000,
    pace: { startMs: 30_000, bytesPerS: 64 * 1024 },
    unreadMs: 5 * 60_000,
    // The HTTP clients of Python give an idle connection up after 5 s, those of Node and load balancers after up to 60 s.
    keepAliveMs: 65_000,
  };
}

const defaults = Object.fromEntries(
  Object.entries(limitFlags).map(([flag, { default: value }]) => [flag, value]),
) as Record<Flag, string>;

export const defaultServerLimits: ServerLimits = readLimits(defaults);

/** The time by which a body of which `bytes` have arrived must be whole, or have more. */
export const bodyDeadlineMs = ({ startMs, bytesPerS }: Pace, bytes: number): number =>
  startMs + (bytes / bytesPerS) * 1_000;
