/**
 * Where a bucket is, and the credentials for it: from `s3://bucket/prefix` and the variables that every tool of S3
 * reads.
 */
import { AppError } from "../errors.ts";
import type { S3Credentials, WebIdentity } from "./s3-credentials.ts";

export interface S3Settings {
  /** As it was given. */
  readonly url: string;
  /** URL of the bucket, without a slash at its end. */
  readonly address: string;
  /** Beginning of all keys: empty, or with a slash at its end. */
  readonly prefix: string;
  readonly region: string;
  readonly credentials: S3Credentials | WebIdentity;
}

const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

/**
 * Reads AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, or else AWS_ROLE_ARN,
 * AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_SESSION_NAME and AWS_ENDPOINT_URL_STS. Reads AWS_REGION, AWS_DEFAULT_REGION,
 * AWS_ENDPOINT_URL_S3 and AWS_ENDPOINT_URL. Source: AWS SDKs and Tools Reference Guide, "Environment variables".
 * @throws {AppError} usage
 */
export function s3Settings(url: string, env: NodeJS.ProcessEnv = process.env): S3Settings {
  const [, bucket = "", path = ""] = /^s3:\/\/([^/]+)\/?(.*)$/.exec(url) ?? [];
  const prefix = path.replace(/\/+$/, "");
  const hasBadPart =
    prefix !== "" && prefix.split("/").some((part) => !/^[\w!.*'() -]+$/.test(part) || /^\.+$/.test(part));
  if (!BUCKET.test(bucket) || hasBadPart)
    throw new AppError("usage", `${url} is no address of a bucket. Write s3://bucket or s3://bucket/prefix.`);
  const region = env.AWS_REGION || env.AWS_DEFAULT_REGION || "us-east-1";
  return {
    url,
    address: addressOf(bucket, region, env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL || null),
    prefix: prefix === "" ? "" : `${prefix}/`,
    region,
    credentials: credentialsOf(url, region, env),
  };
}

/** Fixed credentials come first, as in every tool of Amazon. */
function credentialsOf(url: string, region: string, env: NodeJS.ProcessEnv): S3Credentials | WebIdentity {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = env;
  if (accessKeyId && secretAccessKey)
    return { accessKeyId, secretAccessKey, sessionToken: env.AWS_SESSION_TOKEN || null };
  const { AWS_ROLE_ARN: roleArn, AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile } = env;
  if (roleArn && tokenFile) {
    const endpoint = env.AWS_ENDPOINT_URL_STS || env.AWS_ENDPOINT_URL || `https://sts.${region}.amazonaws.com`;
    assertEndpoint("AWS_ENDPOINT_URL_STS", endpoint);
    return { roleArn, tokenFile, sessionName: env.AWS_ROLE_SESSION_NAME || "mosara", endpoint };
  }
  throw new AppError(
    "usage",
    `${url} needs credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE.`,
  );
}

/** @throws {AppError} usage */
function assertEndpoint(variable: string, endpoint: string): void {
  if (URL.canParse(endpoint) && /^https?:$/.test(new URL(endpoint).protocol)) return;
  throw new AppError("usage", `${variable} must be an http or https address, but is "${endpoint}".`);
}

/**
 * Every other S3 than Amazon's accepts the bucket in the path. Amazon's certificates do not cover buckets with dots.
 */
function addressOf(bucket: string, region: string, endpoint: string | null): string {
  if (endpoint === null)
    return bucket.includes(".")
      ? `https://s3.${region}.amazonaws.com/${bucket}`
      : `https://${bucket}.s3.${region}.amazonaws.com`;
  assertEndpoint("AWS_ENDPOINT_URL", endpoint);
  return `${endpoint.replace(/\/+$/, "")}/${bucket}`;
}
