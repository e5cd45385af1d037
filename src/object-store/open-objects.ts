/** Opens the store at an address: a bucket, or a copy on a web server. */
import type { ObjectStore } from "./object-store.ts";
import type { RequestPolicy } from "./request-policy.ts";
import { S3Objects } from "./s3-objects.ts";
import { s3Settings } from "./s3-settings.ts";
import { WebObjects } from "./web-objects.ts";

/** @param url `s3://…`, or `http://…` or `https://…` @throws {AppError} usage */
export function openObjects(url: string, policy: RequestPolicy): ObjectStore {
  return url.startsWith("s3:") ? new S3Objects(s3Settings(url), policy) : new WebObjects(url, policy);
}
