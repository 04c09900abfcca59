// Bundled into the workflows of tests in which the worker dies often: a dead one is missed after a short time.
const heartbeatTimeout = "2500 milliseconds";

export const interceptors = () => ({
  outbound: [
    {
      scheduleActivity: (input, next) =>
        next({ ...input, options: { ...input.options, heartbeatTimeout } }),
    },
  ],
});
