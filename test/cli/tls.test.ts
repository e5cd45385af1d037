/**
 * `mosara serve` over HTTPS: an official client answers, a renewed certificate is taken, files that cannot be used are
 * refused.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { get } from "node:https";
import { join } from "node:path";
import { type PeerCertificate, type TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { certificateFiles, readCertificate } from "../../src/cli/serve/certificate.ts";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { hasProgram, runProgram } from "../helpers/outside/programs.ts";
import { mosara, startServer, tempDir, type TestServer, until } from "../helpers/server.ts";

const DEMO = join(packageRoot(), "models", "demo");
const dir = tempDir();
const [cert, key] = [join(dir, "cert.pem"), join(dir, "key.pem")];

/** Writes a certificate for 127.0.0.1 and its key. */
function makePair(commonName: string, certPath: string, keyPath: string): void {
  const subject = ["-subj", `/CN=${commonName}`, "-addext", "subjectAltName=IP:127.0.0.1"];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const made = runProgram("openssl", ["req", "-x509", ...curve, ...subject, "-keyout", keyPath, "-out", certPath]);
  expect([made.status, made.output]).toEqual([0, expect.anything()]);
}

interface Got {
  readonly status: number | undefined;
  readonly text: string;
  readonly peer: PeerCertificate;
}

/** GET on a connection of its own that trusts this certificate alone. */
function getOver(url: string, ca: Buffer): Promise<Got> {
  return new Promise((resolve, reject) => {
    const request = get(url, { ca, agent: false }, (response) => {
      const peer = (response.socket as TLSSocket).getPeerCertificate();
      let text = "";
      response.on("data", (data: Buffer) => (text += data.toString()));
      response.on("end", () => resolve({ status: response.statusCode, text, peer }));
    });
    request.on("error", reject);
  });
}

describe.skipIf(!hasProgram("openssl", "HTTPS"))("serve --tls-cert --tls-key", () => {
  let server: TestServer;
  beforeAll(async () => {
    makePair("first", cert, key);
    server = await startServer(["--model", DEMO, "--tls-cert", cert, "--tls-key", key]);
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it("answers over HTTPS, and over nothing else", async () => {
    expect(server.url).toMatch(/^https:/);
    const { status, text, peer } = await getOver(`${server.url}/v1/models`, readFileSync(cert));
    expect([status, peer.subject.CN]).toEqual([200, "first"]);
    expect(JSON.parse(text)).toMatchObject({ object: "list" });
    await expect(fetch(server.url.replace("https", "http"))).rejects.toThrow();
  });

  it("keeps its certificate when the files become useless, and takes a renewed one without a restart", async () => {
    const first = readFileSync(cert);
    writeFileSync(cert, "half a file");
    await until("a line of the log", () => server.printed.stderr.includes("the certificate was not read again"));
    expect((await getOver(`${server.url}/healthz`, first)).peer.subject.CN).toBe("first");
    makePair("second", cert, key);
    const peer = async () =>
      (await getOver(`${server.url}/healthz`, readFileSync(cert)).catch(() => null))?.peer.subject.CN;
    await until("the new certificate", peer, (name) => name === "second");
  });
});

describe.skipIf(!hasProgram("openssl", "HTTPS"))("a certificate that cannot be used", () => {
  it("ends the start with the reason", async () => {
    const [own, other, otherKey] = [join(dir, "own.pem"), join(dir, "other.pem"), join(dir, "other-key.pem")];
    makePair("own", own, join(dir, "own-key.pem"));
    makePair("other", other, otherKey);
    expect(() => certificateFiles({ tlsCert: own, tlsKey: null })).toThrow("--tls-cert is given without --tls-key");
    expect(() => certificateFiles({ tlsCert: null, tlsKey: otherKey })).toThrow("without --tls-cert");
    await expect(readCertificate({ tlsCert: join(dir, "none.pem"), tlsKey: otherKey })).rejects.toThrow(
      /--tls-cert \S*none\.pem cannot be read: ENOENT/,
    );
    const { code, stderr } = await mosara("serve", "--model", DEMO, "--tls-cert", own, "--tls-key", otherKey);
    expect([code, stderr]).toEqual([2, expect.stringMatching(/found files that OpenSSL refuses: .*mismatch/)]);
  });
});
