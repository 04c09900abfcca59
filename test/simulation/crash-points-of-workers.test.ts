import { crashPoints, ofWorkers } from "./crash-points.ts";

crashPoints(ofWorkers);
