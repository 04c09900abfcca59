import type { Role } from "./role.ts";

/** What clients may take of the built-in proxy at a time. */
export interface ProxyLimits {
  /** MiB of one request's body. */
  readonly bodyMibMax: number;
  /** MiB of the bodies of all requests that are there; specs made before this limit have none. */
  readonly memoryMibMax?: number;
  /** Requests at once, those that wait included. */
  readonly requestsMax: number;
  /** Requests that may wait while no pair of engines is ready. */
  readonly waitingMax: number;
  /** Seconds that one of them may wait. */
  readonly waitS: number;
}

/**
 * Who may use the built-in proxy: references `env:NAME` or `file:/PATH`, each to a text with one key a line. inference =
 * completions and the list of models; admin = those, and metrics, which tell of the engines.
 */
export interface ProxyAuth {
  readonly inference: readonly string[];
  readonly admin: readonly string[];
}

/** What the proxy is given of `ProxyAuth`: of its own keys only digests, SHA-256 in base64. */
export interface ProxyKeys {
  readonly inference: readonly string[];
  readonly admin: readonly string[];
  /** The engines' own, which no client sends. */
  readonly engines: Readonly<Partial<Record<Role, string>>>;
}

/** Of the proxy's process: `ProxyKeys` as JSON. */
export const proxyKeysVariable = "PDJOB_PROXY_KEYS";

/** What the proxy has of itself: a test holds both to one answer, since its bundle imports types alone. */
export const defaultProxyLimits: Required<ProxyLimits> = {
  bodyMibMax: 64,
  memoryMibMax: 1_024,
  requestsMax: 4_096,
  waitingMax: 1_024,
  waitS: 30,
};
