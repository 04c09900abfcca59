const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Aborts on the first Ctrl-C, termination or hang-up, from now on. A second one ends us at once; what we started ends with
 * us all the same, because its guards notice. Our listeners stay: execa's own ends the process when it finds itself alone.
 */
export function interruption(): AbortSignal {
  const controller = new AbortController();
  const onSignal = (): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
  };
  for (const one of signals) process.on(one, onSignal);
  return controller.signal;
}

export const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
