/** Who stops on which signal of the process. One listener for each signal: of eleven, Node.js would warn. */
const stops = new Map<NodeJS.Signals, Set<() => void>>();

function tell(name: NodeJS.Signals): void {
  for (const stop of stops.get(name)!) stop();
}

/** Call a function on signals of the process, until what this gives is called. */
export function stopOn(names: readonly NodeJS.Signals[], stop: () => void): () => void {
  for (const name of names) {
    const known = stops.get(name);
    known?.add(stop);
    if (known === undefined) {
      stops.set(name, new Set([stop]));
      process.on(name, tell);
    }
  }
  return () => {
    for (const name of names) {
      const known = stops.get(name);
      if (!known?.delete(stop) || known.size > 0) continue;
      stops.delete(name);
      process.off(name, tell);
    }
  };
}
