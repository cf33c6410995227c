/** A certificate for a server, as PEM text. */
export interface ServerTls {
  /** The private key. */
  readonly key: string;
  /** The certificate; clients connect to 127.0.0.1. */
  readonly cert: string;
  /** The certificate of the authority that signed it: the certificate itself when self-signed. */
  readonly ca: string;
}

/** One line of a configuration file: a word and its arguments. */
export type Directive = readonly [name: string, ...values: string[]];

/** What to start, all options resolved. */
export interface Settings {
  readonly appendOnly: boolean;
  readonly password: string | null;
  readonly tls: ServerTls | null;
  /** Where the data go; `null` for a private directory. */
  readonly dir: string | null;
  readonly args: readonly string[];
  readonly socket: boolean;
  readonly signal: AbortSignal | null;
  /** Whether a container will not do. */
  readonly needsBinary: boolean;
  readonly role: "server" | "cluster node" | "sentinel";
  /** Further lines: of the cluster, of the sentinel. */
  readonly directives: readonly Directive[];
}

/** Where a server listens and finds its files. */
export interface Place {
  readonly bind: string;
  readonly port: number;
  readonly socketPath: string | null;
  readonly dataDir: string;
  /** The directory of `key.pem`, `cert.pem` and `ca.pem`. */
  readonly tlsDir: string;
}

/** Writes the configuration file of one server. */
export function configText(settings: Settings, place: Place): string {
  const { appendOnly, password, tls, role, directives } = settings;
  const lines: Directive[] = [
    ["bind", place.bind],
    ["protected-mode", "no"],
    ["daemonize", "no"],
    ["dir", place.dataDir],
    ["port", tls === null ? String(place.port) : "0"],
  ];
  if (place.socketPath !== null) lines.push(["unixsocket", place.socketPath], ["unixsocketperm", "700"]);
  if (tls !== null) {
    lines.push(
      ["tls-port", String(place.port)],
      ["tls-key-file", `${place.tlsDir}/key.pem`],
      ["tls-cert-file", `${place.tlsDir}/cert.pem`],
      ["tls-ca-cert-file", `${place.tlsDir}/ca.pem`],
      ["tls-auth-clients", "optional"],
      ["tls-replication", "yes"],
    );
  }
  if (role !== "sentinel") {
    // A full synchronisation begins at once, and a shutdown does not wait for a replica that is frozen.
    lines.push(["save", ""], ["appendonly", appendOnly ? "yes" : "no"]);
    lines.push(["repl-diskless-sync-delay", "0"], ["shutdown-timeout", "0"]);
    if (password !== null) lines.push(["requirepass", password], ["masterauth", password]);
  }
  return [...lines, ...directives]
    .map(([name, ...values]) => `${[name, ...values.map(quote)].join(" ")}\n`)
    .join("");
}

function quote(value: string): string {
  return `"${value.replace(/["\\]/g, "\\$&").replaceAll("\n", "\\n").replaceAll("\r", "\\r")}"`;
}
