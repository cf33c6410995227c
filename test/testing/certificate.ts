import { generate } from "selfsigned";
import type { ServerTls } from "../../src/testing/index.ts";

/** Makes a self-signed certificate, for 127.0.0.1 and a year from yesterday unless told. */
export async function certificate({
  ip = "127.0.0.1",
  until,
}: {
  ip?: string;
  until?: Date;
} = {}): Promise<ServerTls> {
  const made = await generate([{ name: "commonName", value: ip }], {
    keySize: 2048,
    ...(until === undefined
      ? {}
      : { notBeforeDate: new Date(until.getTime() - 86_400_000), notAfterDate: until }),
    extensions: [
      { name: "basicConstraints", cA: true },
      { name: "subjectAltName", altNames: [{ type: 7, ip }] },
    ],
  });
  return { key: made.private, cert: made.cert, ca: made.cert };
}
