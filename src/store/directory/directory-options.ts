/** Options of a watched directory, and the events that it reports. Types only. */
import type { AdapterFileLimits } from "../../adapter/adapter-file.ts";
import type { PeftDirectory } from "../../adapter/peft.ts";
import type { PutOutcome } from "../adapter-names.ts";

/** A change of a file. Unchanged files are not reported. */
export interface DirectoryEvent {
  readonly path: string;
  /**
   * removed: the file was removed, and its name too. kept: the file was removed, but its name points to newer content.
   * failed: see `error`.
   */
  readonly outcome: PutOutcome | "removed" | "kept" | "failed";
  /** Generation of the name before the change; absent for a new name. */
  readonly from?: string | undefined;
  readonly error?: Error;
}

/** Converts a PEFT adapter to the bytes of a `.mosara` file, for the served base. @throws AppError */
export type ConvertPeft = (files: PeftDirectory) => Uint8Array | Promise<Uint8Array>;

export interface AdapterDirectoryOptions extends AdapterFileLimits {
  /** Without it, PEFT directories are refused. */
  readonly convertPeft?: ConvertPeft;
  readonly onEvent: (event: DirectoryEvent) => void;
  /** Names that no file may have, such as the served model's. */
  readonly reservedNames?: ReadonlySet<string>;
  /** A file is read after this long without a change (default 100 ms), because editors write in several steps. */
  readonly debounceMs?: number;
  /**
   * Pause between scans of the whole directory (default 10,000 ms), for file systems that report no changes. After a
   * long scan, the pause is many times the scan's duration.
   */
  readonly rescanMs?: number;
}
