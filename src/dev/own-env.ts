/**
 * Our environment without what addresses other servers and clusters: the embedded stack must neither be mistaken for the
 * user's own Temporal or Ray, nor be asked with their keys.
 */
export const ownEnv = (): Record<string, string | undefined> =>
  Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(TEMPORAL|RAY)_/.test(name)),
  );
