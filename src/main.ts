#!/usr/bin/env node
/** The program `mosara`: arguments in, exit code out. Everything else is in cli/. */
import { runCommandLine } from "./cli/shared/command-line.ts";

// Whoever read our output may be gone (`mosara … | head`, a log reader that died): that ends no server and no training.
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });

process.exitCode = await runCommandLine(process.argv.slice(2), process.env);
