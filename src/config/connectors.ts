/** KV connectors of vLLM up to 0.33, in its spelling. Which version has which is checked where a version is known. */
export const connectors = [
  "DecodeBenchConnector",
  "ExampleConnector",
  "ExampleHiddenStatesConnector",
  "FlexKVConnectorV1",
  "HF3FSKVConnector",
  "LMCacheConnectorV1",
  "LMCacheMPConnector",
  "MooncakeConnector",
  "MooncakeStoreConnector",
  "MoRIIOConnector",
  "MultiConnector",
  "NixlConnector",
  "NixlPullConnector",
  "NixlPushConnector",
  "OffloadingConnector",
  "P2pNcclConnector",
  "SharedStorageConnector",
  "SimpleCPUOffloadConnector",
] as const;

/** The connector in vLLM's spelling, or undefined when vLLM has none of that name. Capitals do not matter. */
export const knownConnector = (name: string): string | undefined =>
  connectors.find((one) => one.toLowerCase() === name.toLowerCase());
