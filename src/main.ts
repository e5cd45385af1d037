#!/usr/bin/env node
/** The program `mosara`: arguments in, exit code out. Everything else is in cli/. */
import { runCommandLine } from "./cli/shared/command-line.ts";

// The reader of our output may be gone, as in `mosara … | head`. This must not end a server or a training run.
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });

process.exitCode = await runCommandLine(process.argv.slice(2), process.env);
