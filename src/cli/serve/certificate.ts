/** The certificate of --tls-cert with the key of --tls-key. */
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import { AppError } from "../../errors.ts";

/** Both in PEM. `cert` may hold the chain that leads to the root. */
export interface Certificate {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export interface CertificateFiles {
  readonly tlsCert: string;
  readonly tlsKey: string;
}

/** The two files where both flags are given, null where neither is. @throws {AppError} usage where one is missing. */
export function certificateFiles(config: {
  readonly tlsCert: string | null;
  readonly tlsKey: string | null;
}): CertificateFiles | null {
  const { tlsCert, tlsKey } = config;
  if (tlsCert !== null && tlsKey !== null) return { tlsCert, tlsKey };
  if (tlsCert === null && tlsKey === null) return null;
  const [given, missing] = tlsCert === null ? ["--tls-key", "--tls-cert"] : ["--tls-cert", "--tls-key"];
  throw new AppError("usage", `${given} is given without ${missing}. TLS needs a certificate and its key.`);
}

/** The certificate, and the files that it was read from. */
export interface Tls {
  readonly files: CertificateFiles;
  readonly certificate: Certificate;
}

/** Null: plain HTTP. @throws {AppError} usage: the certificate cannot be used. */
export async function readTls(config: Parameters<typeof certificateFiles>[0]): Promise<Tls | null> {
  const files = certificateFiles(config);
  return files && { files, certificate: await readCertificate(files) };
}

/** @throws {AppError} usage: a file cannot be read, holds no such PEM, or the key is another certificate's. */
export async function readCertificate({ tlsCert, tlsKey }: CertificateFiles): Promise<Certificate> {
  const [cert, key] = [await read("--tls-cert", tlsCert), await read("--tls-key", tlsKey)];
  const certificate = { cert, key };
  try {
    createSecureContext(certificate);
  } catch (error) {
    const wanted = `Wanted a certificate in PEM (--tls-cert ${tlsCert}) and its private key without a passphrase (--tls-key ${tlsKey})`;
    throw new AppError("usage", `${wanted}, found files that OpenSSL refuses: ${(error as Error).message}.`);
  }
  return certificate;
}

async function read(flag: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new AppError("usage", `${flag} ${path} cannot be read: ${(error as Error).message}.`);
  }
}
