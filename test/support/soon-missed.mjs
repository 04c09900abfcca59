// Bundled into the workflows of tests in which the worker dies often: a dead one is missed after a short time, and what
// died with it again and again is begun as soon as the first time.
const heartbeatTimeout = "2500 milliseconds";
const retry = { initialInterval: "200 milliseconds", backoffCoefficient: 1 };

export const interceptors = () => ({
  outbound: [
    {
      scheduleActivity: (input, next) =>
        next({
          ...input,
          options: {
            ...input.options,
            heartbeatTimeout,
            retry: { ...input.options.retry, ...retry },
          },
        }),
    },
  ],
});
