/**
 * Signatures of requests to S3. Pure. A library signs on threads with promises (Web Crypto), which costs thirty times
 * the processor time of a hash of a few hundred bytes. Source: Amazon S3 API Reference, "Authenticating Requests: Using
 * the Authorization Header (AWS Signature Version 4)".
 */
import { createHash, createHmac } from "node:crypto";
import type { S3Credentials } from "./s3-credentials.ts";

export interface UnsignedRequest {
  readonly method: string;
  readonly url: string;
  /** Names in lower case. All are signed but the content's type. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | undefined;
}

const HASH_OF_NOTHING = sha256("");

export class S3Signer {
  readonly #region: string;
  /** The key of a day, which four hashes derive from the secret. */
  #last: { readonly credentials: S3Credentials; readonly day: string; readonly key: Buffer } | null = null;

  constructor(region: string) {
    this.#region = region;
  }

  /** @param time unix milliseconds, by the store's clock. @returns the headers, with those of the signature */
  sign(request: UnsignedRequest, credentials: S3Credentials, time: number): Record<string, string> {
    const { method, headers, body } = request;
    const url = new URL(request.url);
    const date = new Date(time).toISOString().replace(/[-:]|\.\d+/g, ""); // such as 20261129T203000Z
    const { accessKeyId, sessionToken } = credentials;
    const sent: Record<string, string> = {
      ...headers,
      "x-amz-content-sha256": body === undefined ? HASH_OF_NOTHING : sha256(body),
      "x-amz-date": date,
      ...(sessionToken === null ? {} : { "x-amz-security-token": sessionToken }),
    };
    const signed = Object.entries({ ...sent, host: url.host })
      .filter(([name]) => name !== "content-type")
      .toSorted(byName);
    const names = signed.map(([name]) => name).join(";");
    const lines = signed.map(([name, value]) => `${name}:${value.trim().replace(/ +/g, " ")}\n`).join("");
    const path = url.pathname.split("/").map(decodeURIComponent).map(encode).join("/");
    const canonical = [method, path, queryOf(url), lines, names, sent["x-amz-content-sha256"]].join("\n");
    const day = date.slice(0, 8);
    const scope = `${day}/${this.#region}/s3/aws4_request`;
    const text = `AWS4-HMAC-SHA256\n${date}\n${scope}\n${sha256(canonical)}`;
    const signature = hmac(this.#keyOf(credentials, day), text).toString("hex");
    const credential = `${accessKeyId}/${scope}`;
    const authorization = `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names}, Signature=${signature}`;
    return { ...sent, authorization };
  }

  #keyOf(credentials: S3Credentials, day: string): Buffer {
    if (this.#last?.credentials !== credentials || this.#last.day !== day) {
      const first = hmac(`AWS4${credentials.secretAccessKey}`, day);
      const key = [this.#region, "s3", "aws4_request"].reduce<Buffer>(hmac, first);
      this.#last = { credentials, day, key };
    }
    return this.#last.key;
  }
}

function queryOf({ searchParams }: URL): string {
  const pairs = Array.from(searchParams, ([name, value]): [string, string] => [encode(name), encode(value)]);
  return pairs
    .toSorted(byName)
    .map(([name, value]) => `${name}=${value}`)
    .join("&");
}

const byName = ([a]: readonly [string, string], [b]: readonly [string, string]): number => (a < b ? -1 : a > b ? 1 : 0);

/** As RFC 3986 has it. `encodeURIComponent` leaves a few more characters as they are. */
const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

const hmac = (key: Buffer | string, text: string): Buffer => createHmac("sha256", key).update(text).digest();

function sha256(content: Uint8Array | string): string {
  return createHash("sha256").update(content).digest("hex");
}
