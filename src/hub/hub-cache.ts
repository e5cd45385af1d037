/**
 * The cache directory of the Hub's tools: contents by hash in `blobs/`, names as links in `snapshots/<commit>/`,
 * branches in `refs/`. transformers finds files that mosara has fetched, and mosara finds files that transformers has
 * fetched. Source: huggingface_hub's documentation, "Manage the cache".
 */
import { existsSync } from "node:fs";
import { copyFile, mkdir, readFile, readdir, rm, symlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { replaceFile } from "../replace-file.ts";
import { isCommit } from "./hub-name.ts";
import type { HubFile, Repository } from "./repository.ts";

/** One repository in the cache. */
export class CachedRepository {
  readonly #dir: string;

  /** @param repo `owner/name` */
  constructor(cacheDir: string, repo: string) {
    this.#dir = join(cacheDir, `models--${repo.replace("/", "--")}`);
  }

  /** The place of a content. It exists when the content is complete. */
  blobPath(hash: string): string {
    return join(this.#dir, "blobs", hash);
  }

  snapshotDir(commit: string): string {
    return join(this.#dir, "snapshots", commit);
  }

  /** The newest known commit of a revision; null: none is known. */
  async commitOf(revision: string): Promise<string | null> {
    if (isCommit(revision)) return revision;
    const text = await readFile(join(this.#dir, "refs", revision), "utf8").catch(() => "");
    return isCommit(text.trim()) ? text.trim() : null;
  }

  /** Notes the commit of a branch or tag. */
  async noteRevision(revision: string, { commit }: Repository): Promise<void> {
    if (isCommit(revision)) return;
    const path = join(this.#dir, "refs", revision);
    await mkdir(dirname(path), { recursive: true });
    await replaceFile(path, commit, { isSynced: false });
  }

  /** Paths of a commit's files that are in the cache. */
  async pathsOf(commit: string): Promise<readonly string[]> {
    const dir = this.snapshotDir(commit);
    if (!existsSync(dir)) return [];
    const entries = await readdir(dir, { recursive: true });
    return entries.map((path) => path.replaceAll("\\", "/")).filter((path) => existsSync(join(dir, path)));
  }

  hasFile(commit: string, { path }: HubFile): boolean {
    return existsSync(join(this.snapshotDir(commit), path));
  }

  /** Gives a complete content its name in a snapshot: a link, or a copy where links are not allowed. */
  async link(commit: string, { path, hash }: HubFile): Promise<void> {
    const to = join(this.snapshotDir(commit), path);
    const blob = this.blobPath(hash);
    await mkdir(dirname(to), { recursive: true });
    await rm(to, { force: true }); // a link to content that no longer exists
    try {
      await symlink(relative(dirname(to), blob), to);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EEXIST") return; // another process was first
      if (code !== "EPERM" && code !== "ENOTSUP") throw error;
      await copyFile(blob, to);
    }
  }
}
