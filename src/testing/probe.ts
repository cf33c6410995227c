import { connect, type NetConnectOpts } from "node:net";
import { connect as connectTls } from "node:tls";

/** Where a server is to be asked whether it is ready. */
export interface ProbeTarget {
  readonly address: NetConnectOpts;
  readonly isTls: boolean;
  readonly password: string | null;
}

/**
 * Sends `PING` on a connection of its own, after `AUTH` where there is a password.
 *
 * @returns whether the server answered, and is not still loading its data
 */
export function answersPing({ address, isTls, password }: ProbeTarget): Promise<boolean> {
  const commands = password === null ? [["PING"]] : [["AUTH", password], ["PING"]];
  return new Promise((resolve) => {
    // The question is whether the server answers, not who it is: a test may give it any certificate.
    const socket = isTls ? connectTls({ ...address, rejectUnauthorized: false }) : connect(address);
    let reply = "";
    const done = (isReady: boolean): void => {
      socket.destroy();
      resolve(isReady);
    };
    socket.setTimeout(1000, () => done(false));
    socket.on("error", () => done(false));
    socket.on("close", () => done(false));
    socket.on("data", (chunk: Buffer) => {
      reply += chunk.toString("latin1");
      const lines = reply.split("\r\n");
      // An access list of the user's own may forbid PING: then the server is up all the same.
      if (lines.length > commands.length) done(/^(\+PONG|-NOAUTH|-NOPERM)/.test(lines[commands.length - 1]!));
    });
    socket.write(commands.map(encode).join(""));
  });
}

function encode(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`;
}
