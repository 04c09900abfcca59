/** What clients may take of the proxy. */
export interface ServerLimits {
  /** A larger body is refused with 413: it would be held in memory whole. */
  readonly bodyBytesMax: number;
  /** More requests at once are refused with 503. */
  readonly concurrentMax: number;
  /** For the first line and the headers to arrive, from the connection or from their first byte. */
  readonly headersTimeoutMs: number;
  readonly pace: Pace;
  /** For the next request on a connection. Clients that use one again just as it is closed fail, so it is longer than theirs. */
  readonly keepAliveMs: number;
}

/** How slowly a body may arrive. */
export interface Pace {
  /** Without a byte of it. */
  readonly startMs: number;
  readonly bytesPerS: number;
}

export const defaultServerLimits: ServerLimits = {
  bodyBytesMax: 64 * 1024 * 1024,
  concurrentMax: 4_096,
  headersTimeoutMs: 10_000,
  pace: { startMs: 30_000, bytesPerS: 64 * 1024 },
  // The HTTP clients of Python give an idle connection up after 5 s, those of Node and load balancers after up to 60 s.
  keepAliveMs: 65_000,
};

/** The time by which a body of which `bytes` have arrived must be whole, or have more. */
export const bodyDeadlineMs = ({ startMs, bytesPerS }: Pace, bytes: number): number =>
  startMs + (bytes / bytesPerS) * 1_000;
