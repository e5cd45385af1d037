/** The server's port: plain HTTP, or TLS with a certificate that is followed while the server runs. */
import type { ConfigOf } from "../../config/commands.ts";
import { createApp } from "../../http/app.ts";
import type { AppContext } from "../../http/context.ts";
import { readCertificate, type Tls } from "./certificate.ts";
import type { Cleanup } from "../shared/cleanup.ts";
import { type Listener, listen } from "./listen.ts";
import { watchFiles } from "./watch-files.ts";

/** @throws {AppError} usage: the address cannot be used. */
export async function openListener(
  { host, port }: Pick<ConfigOf<"serve">, "host" | "port">,
  tls: Tls | null,
  context: AppContext,
  cleanup: Cleanup,
): Promise<Listener> {
  const listener = await listen(createApp(context), { host, port, certificate: tls?.certificate ?? null });
  cleanup.defer(() => listener.close());
  if (tls === null) return listener;
  const { files } = tls;
  const stop = watchFiles([files.tlsCert, files.tlsKey], () => readCertificate(files), {
    onRead: (next) => {
      listener.renew(next);
      context.log.info("the certificate was read again");
    },
    onFault: (error) =>
      context.log.error(
        { reason: (error as Error).message },
        "the certificate was not read again, and the earlier one stays",
      ),
  });
  cleanup.defer(stop);
  return listener;
}
