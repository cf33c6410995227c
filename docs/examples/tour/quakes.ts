// The tour's data: a week of earthquakes as the USGS has published them, one JSON object a line, sorted by time.
import { readFile } from "node:fs/promises";

/** One earthquake. */
export interface Quake {
  id: string;
  /** Milliseconds since 1970, UTC. */
  time: number;
  /** Magnitude; below 0 for the faintest. */
  mag: number;
  place: string;
  /** The network that has measured it. */
  net: Network;
  type: string;
  /** Kilometres. */
  depth: number;
  lon: number;
  lat: number;
}

/** The seismic networks by their codes, which are the keys of their streams. */
export const NETWORKS = {
  ak: "Alaska",
  ci: "Southern California",
  hv: "Hawaii",
  mb: "Montana",
  nc: "Northern California",
  nm: "New Madrid",
  nn: "Nevada",
  pr: "Puerto Rico",
  se: "Southeastern US",
  us: "USGS, worldwide",
  uu: "Utah",
  uw: "Pacific Northwest",
} as const;

/** Code of a network. */
export type Network = keyof typeof NETWORKS;

/** All earthquakes of the week, in time order. */
export async function loadQuakes(): Promise<Quake[]> {
  const lines = await readFile(new URL("../../../notebooks/data/quakes.ndjson", import.meta.url), "utf8");
  return lines
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Quake);
}
