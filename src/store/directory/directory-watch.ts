/**
 * Decides when to examine files of a directory. The file system's events trigger it, after a file has not changed for a
 * while. An occasional rescan serves file systems that report no changes. Knows nothing of adapters.
 */
import { type FSWatcher, watch } from "node:fs";
import { join } from "node:path";
import { nameOfFile } from "./directory-files.ts";

export interface DirectoryWatchOptions {
  /** A file is examined after this long without an event. */
  readonly debounceMs: number;
  /** Pause between two scans. */
  readonly rescanMs: number;
  /** Examines one file; never rejects. */
  readonly look: (fileName: string) => Promise<void>;
  /** Examines all files. */
  readonly scan: () => Promise<void>;
  readonly onError: (error: unknown) => void;
}

/** The pause between two scans is at least this many times a scan's duration. */
const PAUSE_FACTOR = 20;

export class DirectoryWatch {
  readonly #root: string;
  readonly #options: DirectoryWatchOptions;
  #watcher: FSWatcher | undefined;
  #rescanTimer: NodeJS.Timeout | undefined;
  /** Files that changed a moment ago, by file name. */
  readonly #quietTimers = new Map<string, NodeJS.Timeout>();
  #isClosed = false;

  constructor(root: string, options: DirectoryWatchOptions) {
    this.#root = root;
    this.#options = options;
  }

  start(): void {
    try {
      this.#watcher = watch(this.#root, (_, fileName) => this.#whenQuiet(fileName ?? ""));
      this.#watcher.on("error", this.#options.onError);
    } catch (error) {
      this.#options.onError(error); // rescans still find changes
    }
  }

  /** Scans now, and again after each pause. */
  async rescan(): Promise<void> {
    const startedAt = performance.now();
    await this.#options.scan();
    const scanMs = performance.now() - startedAt;
    if (this.#isClosed) return;
    const pauseMs = Math.max(this.#options.rescanMs, PAUSE_FACTOR * scanMs);
    this.#rescanTimer = setTimeout(() => void this.rescan(), pauseMs).unref();
  }

  close(): void {
    this.#isClosed = true;
    this.#watcher?.close();
    clearTimeout(this.#rescanTimer);
    for (const timer of this.#quietTimers.values()) clearTimeout(timer);
  }

  /**
   * Examines a file after it has not changed for a while. If the name is unknown or may mean several files, it examines
   * all files.
   */
  #whenQuiet(fileName: string): void {
    clearTimeout(this.#quietTimers.get(fileName));
    const look = (): void => {
      this.#quietTimers.delete(fileName);
      const isAny = nameOfFile(join(this.#root, fileName)) === undefined || fileName.startsWith(".");
      void (isAny ? this.#options.scan() : this.#options.look(fileName));
    };
    this.#quietTimers.set(fileName, setTimeout(look, this.#options.debounceMs));
  }
}
