/**
 * Where a bucket is, and the credentials for it: from `s3://bucket/prefix` and the variables that every tool of S3
 * reads.
 */
import { AppError } from "../errors.ts";

export interface S3Settings {
  /** As it was given. */
  readonly url: string;
  /** URL of the bucket, without a slash at its end. */
  readonly address: string;
  /** Beginning of all keys: empty, or with a slash at its end. */
  readonly prefix: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | null;
}

const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

/**
 * Reads AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_DEFAULT_REGION,
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
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = env;
  if (!accessKeyId || !secretAccessKey)
    throw new AppError("usage", `${url} needs credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.`);
  const region = env.AWS_REGION || env.AWS_DEFAULT_REGION || "us-east-1";
  return {
    url,
    address: addressOf(bucket, region, env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL || null),
    prefix: prefix === "" ? "" : `${prefix}/`,
    region,
    accessKeyId,
    secretAccessKey,
    sessionToken: env.AWS_SESSION_TOKEN || null,
  };
}

/**
 * Every other S3 than Amazon's accepts the bucket in the path. Amazon's certificates do not cover buckets with dots.
 */
function addressOf(bucket: string, region: string, endpoint: string | null): string {
  if (endpoint === null)
    return bucket.includes(".")
      ? `https://s3.${region}.amazonaws.com/${bucket}`
      : `https://${bucket}.s3.${region}.amazonaws.com`;
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol))
    throw new AppError("usage", `AWS_ENDPOINT_URL must be an http or https address, but is "${endpoint}".`);
  return `${endpoint.replace(/\/+$/, "")}/${bucket}`;
}
