import { generate } from "selfsigned";
import type { ServerTls } from "../../src/testing/index.ts";

/** Makes a self-signed certificate for 127.0.0.1. */
export async function certificate(): Promise<ServerTls> {
  const made = await generate([{ name: "commonName", value: "127.0.0.1" }], {
    keySize: 2048,
    extensions: [
      { name: "basicConstraints", cA: true },
      { name: "subjectAltName", altNames: [{ type: 7, ip: "127.0.0.1" }] },
    ],
  });
  return { key: made.private, cert: made.cert, ca: made.cert };
}
