/** Opens the store at an address: a bucket, a directory, or a copy on a web server. */
import { DirectoryObjects } from "./directory-objects.ts";
import type { ObjectStore } from "./object-store.ts";
import type { RequestPolicy } from "./request-policy.ts";
import { S3Objects } from "./s3-objects.ts";
import { s3Settings } from "./s3-settings.ts";
import { WebObjects } from "./web-objects.ts";

/** @param url `s3://…`, `http://…` or `https://…`, or a path that begins with "/" or "." @throws {AppError} usage */
export function openObjects(url: string, policy: RequestPolicy): ObjectStore {
  if (/^[/.]/.test(url)) return new DirectoryObjects(url, policy);
  return url.startsWith("s3:") ? new S3Objects(s3Settings(url), policy) : new WebObjects(url, policy);
}
