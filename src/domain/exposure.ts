/** What clients may take of the built-in proxy at a time. */
export interface ProxyLimits {
  /** MiB of one request's body. */
  readonly bodyMibMax: number;
  /** Requests at once, those that wait included. */
  readonly requestsMax: number;
  /** Requests that may wait while no pair of engines is ready. */
  readonly waitingMax: number;
  /** Seconds that one of them may wait. */
  readonly waitS: number;
}

/** What the proxy has of itself: a test holds both to one answer, since its bundle imports types alone. */
export const defaultProxyLimits: ProxyLimits = {
  bodyMibMax: 64,
  requestsMax: 4_096,
  waitingMax: 1_024,
  waitS: 30,
};
