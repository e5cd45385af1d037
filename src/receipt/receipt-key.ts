/** The key that signs receipts: an Ed25519 key in a PEM file, which is made when it does not exist yet. */
import {
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  sign,
  timingSafeEqual,
  verify,
} from "node:crypto";
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { AppError } from "../errors.ts";
import { canonicalJson } from "../formats/canonical-json.ts";
import { signedBytes, type Statement } from "./receipt.ts";

/** Keeps the secret of seals apart from other uses of the private key. */
const SEAL_PURPOSE = "mosara-receipt-seal-1\n";

export interface ReceiptKey {
  /** The 32 bytes of the public key, in base64url. */
  readonly publicKey: string;
  /** The same in PEM. */
  readonly publicPem: string;
  /** A signature in base64url. @param text a statement as canonical JSON */
  sign(text: string): string;
  /**
   * A code that only this key can make and check, in base64url. It takes a tenth of a signature's time. With it, the
   * server knows its own statements again. @param text a statement as canonical JSON
   */
  seal(text: string): string;
  isSealed(text: string, seal: string): boolean;
}

/** The key in `path`. @throws {AppError} usage: the file cannot be read or made, or contains another kind of key. */
export async function openReceiptKey(path: string): Promise<ReceiptKey> {
  const key = privateKeyOf(path, (await readIfThere(path)) ?? (await makeKey(path)));
  const publicKey = createPublicKey(key);
  const secret = createHash("sha256")
    .update(SEAL_PURPOSE)
    .update(key.export({ type: "pkcs8", format: "der" }))
    .digest();
  const seal = (text: string): Buffer => createHmac("sha256", secret).update(signedBytes(text)).digest();
  return {
    publicKey: rawOf(publicKey),
    publicPem: publicKey.export({ type: "spki", format: "pem" }).toString(),
    sign: (text) => sign(null, signedBytes(text), key).toString("base64url"),
    seal: (text) => seal(text).toString("base64url"),
    isSealed: (text, found) => {
      const bytes = Buffer.from(found, "base64url");
      const expected = seal(text);
      return bytes.length === expected.length && timingSafeEqual(bytes, expected);
    },
  };
}

/** Whether the signature is the key's. @param publicKey base64url of its 32 bytes */
export function isSignedBy(publicKey: string, statement: Statement, signature: string): boolean {
  return verify(
    null,
    signedBytes(canonicalJson(statement)),
    publicKeyOf(publicKey),
    Buffer.from(signature, "base64url"),
  );
}

/** The 32 bytes in base64url of a public key that is given so, or in PEM. @throws {AppError} usage */
export function readPublicKey(given: string): string {
  try {
    const key = given.includes("BEGIN") ? createPublicKey(given) : publicKeyOf(given.trim());
    if (key.asymmetricKeyType === "ed25519") return rawOf(key);
  } catch {
    // The code below refuses it, and names the two forms.
  }
  throw new AppError(
    "usage",
    "The public key should be an Ed25519 key, in PEM or as 43 characters of base64url. GET /v1/receipts/key returns both forms.",
  );
}

function publicKeyOf(raw: string): KeyObject {
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: raw }, format: "jwk" });
}

function rawOf(key: KeyObject): string {
  return key.export({ format: "jwk" }).x ?? "";
}

function privateKeyOf(path: string, pem: string): KeyObject {
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === "ed25519") return key;
  } catch {
    // The code below refuses it. The library's own error may show a part of the file, so it is dropped.
  }
  throw new AppError(
    "usage",
    `${path} should contain a private Ed25519 key in PEM. Name another file with --receipt-key. If the file does not exist, it is created.`,
  );
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw cannot("read", path, error);
  }
}

/**
 * Writes a new key under a name of its own first, so that nobody sees a part of it. Of two writers, the first one wins.
 */
async function makeKey(path: string): Promise<string> {
  const { privateKey } = generateKeyPairSync("ed25519");
  const part = `${path}.${randomUUID()}.part`;
  try {
    await writeFile(part, privateKey.export({ type: "pkcs8", format: "pem" }), {
      mode: 0o600,
      flag: "wx",
      flush: true,
    });
    await link(part, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
    return await readFile(path, "utf8");
  } catch (error) {
    throw cannot("write", path, error);
  } finally {
    await rm(part, { force: true });
  }
}

function cannot(verb: string, path: string, error: unknown): AppError {
  return new AppError(
    "usage",
    `The key for receipts in ${path} cannot be ${verb === "read" ? "read" : "written"}: ${(error as Error).message}. Name another file with --receipt-key.`,
    { cause: error },
  );
}
