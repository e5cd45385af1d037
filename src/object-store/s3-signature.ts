/**
 * Signatures of requests to S3, by aws4. It hashes with node:crypto. aws4fetch uses Web Crypto, which runs each hash of
 * a few hundred bytes on another thread, for thirty times the processor time. Source: Amazon S3 API Reference,
 * "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)".
 */
import { createHash } from "node:crypto";
import aws4 from "aws4";
import type { S3Credentials } from "./s3-credentials.ts";

export interface UnsignedRequest {
  readonly method: string;
  readonly url: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | undefined;
}

/** @param time unix milliseconds, by the store's clock. @returns the headers, with those of the signature */
export function signedHeaders(
  { method, url, headers, body }: UnsignedRequest,
  {
    region,
    credentials,
    time,
  }: { readonly region: string; readonly credentials: S3Credentials; readonly time: number },
): Record<string, string> {
  const { host, pathname, search } = new URL(url);
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  const own = {
    ...headers,
    host,
    "x-amz-content-sha256": createHash("sha256")
      .update(body ?? "")
      .digest("hex"),
    "x-amz-date": new Date(time).toISOString().replace(/[-:]|\.\d+/g, ""), // such as 20261129T203000Z
  };
  const request = { service: "s3", region, method, host, path: `${pathname}${search}`, headers: own };
  const session = sessionToken === null ? {} : { sessionToken };
  const { headers: signed = {} } = aws4.sign(request, { accessKeyId, secretAccessKey, ...session });
  return signed as Record<string, string>;
}
