/** Where an engine with NIXL is asked for what a transfer needs: bound there, and handed to the other side. */
export const sideChannelHost = "VLLM_NIXL_SIDE_CHANNEL_HOST";
export const sideChannelPort = "VLLM_NIXL_SIDE_CHANNEL_PORT";

/** An address that means another machine to everybody who hears of it. */
export const isLoopback = (host: string): boolean =>
  /^(?:localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/i.test(host.trim());

/** An address to listen on, which nobody can be sent to. */
export const isWildcard = (host: string): boolean =>
  /^(?:0\.0\.0\.0|\[?::\]?|\*)$/.test(host.trim());
