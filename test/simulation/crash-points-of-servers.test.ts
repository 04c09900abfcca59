import { crashPoints, ofServers } from "./crash-points.ts";

crashPoints(ofServers);
